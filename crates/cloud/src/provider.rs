//! The trait that every provider implements, in the provider-neutral words of the product.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use agentopia_domain::EnvironmentId;
use agentopia_domain::direct_access::OpenPort;
use agentopia_domain::environment::ProviderKind;
use agentopia_domain::orphan::ProviderThing;
use agentopia_domain::verification::Check;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use url::Url;

use crate::size::MachineSize;

/// What a new machine is told so that its DTMA can enrol. Nothing in it is worth anything once
/// the token was used or has expired.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// Where the control plane listens for machines.
    pub control_plane_url: Url,
    /// SHA-256 of the control plane's CA certificate, lower-case hex.
    pub ca_fingerprint: String,
    /// That certificate in PEM.
    pub ca_pem: String,
    /// The name in the control plane's certificate, whatever its address is.
    pub control_plane_name: String,
    /// The one-time `enr_` token.
    pub enrolment_token: SecretString,
}

/// A wish for a machine.
#[derive(Debug, Clone)]
pub struct MachineRequest {
    /// Whose machine it will be; found again by this.
    pub environment: EnvironmentId,
    /// What its DTMA is told.
    pub bootstrap: Bootstrap,
    /// The provider's region, where it has any.
    pub region: Option<String>,
    /// The provider's size.
    pub size: Option<String>,
    /// The provider's image.
    pub image: Option<String>,
}

/// Which machine is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought<'a> {
    /// Whose it is.
    pub environment: EnvironmentId,
    /// The provider's id of it, as far as that was written down. Lists of clouds lag behind, and
    /// can hold a second machine of a request that was made twice: what was written down is right.
    pub known: Option<&'a str>,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    /// Being made.
    Starting,
    /// On.
    Running,
    /// Off: [`MachineProvider::start`] turns it on.
    Off,
}

/// A machine that the provider has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The provider's id.
    pub id: String,
    /// What it is doing.
    pub state: MachineState,
    /// Where it can be reached, once that is known.
    pub address: Option<IpAddr>,
    /// Its region.
    pub region: Option<String>,
    /// Its size.
    pub size: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// Its disk in bytes.
    pub disk_bytes: Option<u64>,
    /// What it costs a month, in US cents.
    pub monthly_price_cents: Option<u32>,
    /// When it was made, by the provider's clock.
    pub created_at: Option<DateTime<Utc>>,
}

/// How far a deletion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing is left, nothing is billed.
    Gone,
    /// Under way; ask again.
    InProgress,
}

/// One part of a change of size. Each can be asked for twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineAction<'a> {
    /// Asks the system to turn itself off. Nothing may come of it.
    ShutDown,
    /// Cuts the power.
    PowerOff,
    /// Turns it on.
    PowerOn,
    /// Gives a machine that is off another size, and leaves its disk as it is.
    Resize(&'a str),
}

/// What became of a [`MachineAction`] that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is under way; the provider's id of it, for [`MachineProvider::operation`].
    Operation(String),
    /// There is nothing to do: the machine is so already.
    AlreadySo,
}

/// How far something is that a provider was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// Under way.
    InProgress,
    /// Done.
    Completed,
    /// It failed, and the machine is as it was, or off.
    Failed,
}

/// Something at the provider that carries this installation's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: ProviderThing,
    /// The provider's id of it.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// The environment that it is marked with; without one it can't be proved to be ours.
    pub environment: Option<EnvironmentId>,
    /// What it costs a month, in US cents.
    pub monthly_price_cents: Option<u32>,
    /// When it was made, by the provider's clock.
    pub created_at: Option<DateTime<Utc>>,
}

/// What shows that something may be taken away that belongs to no environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Its marks: the installation's, and an environment's.
    Marks,
    /// The installation's mark, and somebody who looked at it and repeated its name.
    Named,
}

/// Why a provider could not do it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// May work later.
    #[error("{0}")]
    Retryable(String),
    /// Will not work until somebody changes something; the sentence says what.
    #[error("{0}")]
    Final(String),
}

/// A source of machines.
#[async_trait]
pub trait MachineProvider: fmt::Debug + Send + Sync {
    /// Which one it is.
    fn kind(&self) -> ProviderKind;

    /// The machine of an environment, if there is one. Where there are several, the one that is
    /// known, and the others are taken away; as long as none is known, one of them, and all stay. One
    /// that is known and gone is none.
    async fn find(&self, sought: Sought<'_>) -> Result<Option<Machine>, ProviderError>;

    /// Makes a machine. The caller has made sure with [`Self::find`] that there is none, has
    /// written down that it wants one, and has made a new token for this very call: machines of
    /// earlier calls can no longer enrol.
    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError>;

    /// Puts the machine where people look for it: into a project. It serves without that, so trouble
    /// is for them to read, and no reason to do without the machine. Safe to repeat.
    async fn file(&self, _: Sought<'_>) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Whether [`Self::rebootstrap`] can help at all. Where it can't, no new token is made for it.
    fn can_rebootstrap(&self) -> bool {
        true
    }

    /// Hands a machine that exists, but whose first enrolment failed, a new token, where the
    /// provider can. `false` means that it can't, and the machine has to be made anew.
    async fn rebootstrap(&self, request: &MachineRequest) -> Result<bool, ProviderError>;

    /// Turns on a machine that is off.
    async fn start(&self, sought: Sought<'_>) -> Result<(), ProviderError>;

    /// Takes the machine away, with everything that belongs to it.
    async fn delete(&self, sought: Sought<'_>) -> Result<Deletion, ProviderError>;

    /// Lets exactly this in to the machine, besides what holds for every machine (TOOL-11); nothing
    /// closes all of it. What somebody else changed in the meantime is put right. Where the provider
    /// has no firewall the machine's own DTMA is the only one, and there is nothing to do.
    async fn open_ports(
        &self,
        _sought: Sought<'_>,
        _ports: &BTreeSet<OpenPort>,
    ) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Everything that carries this installation's mark, whoever it belongs to. Can lag behind.
    async fn inventory(&self) -> Result<Vec<Found>, ProviderError> {
        Ok(Vec::new())
    }

    /// Takes away what the inventory had, if it still proves to be ours. `Gone` only when the
    /// provider no longer has it.
    async fn remove_found(&self, found: &Found, _: Proof) -> Result<Deletion, ProviderError> {
        Err(ProviderError::Final(format!(
            "this provider has no {:?} to remove",
            found.kind
        )))
    }

    /// Looks whether machines can be made and kept, without changing anything (TOOL-12). Each thing
    /// that is looked at is a check of its own, and one that fails hides none of the others.
    async fn verify(&self) -> Vec<Check>;

    /// The sizes that machines can have; none where there is nothing to choose. May be some
    /// minutes old.
    async fn sizes(&self) -> Result<Vec<MachineSize>, ProviderError> {
        Ok(Vec::new())
    }

    /// Begins one part of a change of size. Where the same is under way already, that is what is
    /// told of, so a caller who did not hear the answer asks again.
    async fn act(
        &self,
        _sought: Sought<'_>,
        _action: MachineAction<'_>,
    ) -> Result<Begun, ProviderError> {
        Err(no_other_size())
    }

    /// How far something is that [`Self::act`] began. Until it is asked no more, the provider
    /// looks at the machine anew each time with [`Self::find`].
    async fn operation(
        &self,
        _sought: Sought<'_>,
        _operation: &str,
    ) -> Result<OperationState, ProviderError> {
        Err(no_other_size())
    }
}

fn no_other_size() -> ProviderError {
    ProviderError::Final("machines of this provider can't change their size".to_owned())
}
