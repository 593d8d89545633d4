//! The one machine of an account: its record and its state machine (ENV-1, ENV-2). A change of its
//! size has a record of its own, [`Scaling`].

mod scaling;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::direct_access::FirewallRecord;
use crate::ids::{AccountId, EnvironmentId};
use crate::resources::Capacity;

pub use scaling::{Scaling, ScalingPhase};

/// What the account wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesiredEnvironment {
    /// A machine that serves tools.
    Enabled,
    /// No machine, and nothing left of it.
    Disabled,
}

/// Where a machine can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// The machine that the control plane itself runs on (ENV-5).
    Local,
    /// A DigitalOcean droplet (ENV-4).
    Digitalocean,
}

/// What becomes of an environment whose machine the provider no longer has (ENV-9).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostMachine {
    /// Another one is made, and its tools are deployed there again.
    #[default]
    Rebuild,
    /// Nothing is made until somebody turns the environment on again.
    Error,
}

/// The status of an environment (ENV-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentStatus {
    /// Wanted; nothing was asked of the provider yet.
    PendingCreation,
    /// Asked of the provider; not enrolled yet.
    Creating,
    /// Enrolled and heard from.
    Active,
    /// Changing its size.
    Scaling,
    /// Not heard from for longer than the heartbeat limit.
    Unresponsive,
    /// Could not be made, or was lost and is not made anew by itself; the error says why.
    ErrorCreation,
    /// No longer wanted; nothing was taken down yet.
    PendingDeletion,
    /// Being taken down.
    Deleting,
    /// Gone, with everything that belonged to it.
    Deleted,
    /// Could not be taken down; the error says why. It is tried again.
    ErrorDeletion,
}

/// What can happen to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentEvent {
    /// The account wants it (again).
    EnableRequested,
    /// The provider was asked.
    CreateStarted,
    /// Enrolled and heard from.
    Ready,
    /// Making it failed for good.
    CreateFailed,
    /// A change of size began.
    ScaleStarted,
    /// A change of size ended, well or with the old size.
    ScaleFinished,
    /// Heartbeats stopped.
    HeartbeatLost,
    /// Heartbeats came again.
    HeartbeatHeard,
    /// The provider no longer has the machine; it is made anew.
    MachineLost,
    /// The provider no longer has the machine; it is not made anew before somebody asks for it.
    MachineGivenUp,
    /// The account wants it gone.
    DisableRequested,
    /// Taking it down began.
    DeleteStarted,
    /// Taking it down failed; it will be tried again.
    DeleteFailed,
    /// Nothing is left.
    DeleteFinished,
}

/// An event that can't happen in a status: the caller decided on stale knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an environment that is {from:?} can't take the event {event:?}")]
pub struct InvalidEnvironmentTransition {
    /// The status it has.
    pub from: EnvironmentStatus,
    /// The event that does not fit.
    pub event: EnvironmentEvent,
}

impl EnvironmentStatus {
    /// Every status, for tests and documentation.
    pub const ALL: [Self; 10] = [
        Self::PendingCreation,
        Self::Creating,
        Self::Active,
        Self::Scaling,
        Self::Unresponsive,
        Self::ErrorCreation,
        Self::PendingDeletion,
        Self::Deleting,
        Self::Deleted,
        Self::ErrorDeletion,
    ];

    /// The only way from one status to the next.
    ///
    /// # Errors
    /// When `event` has no meaning in this status.
    pub fn on(self, event: EnvironmentEvent) -> Result<Self, InvalidEnvironmentTransition> {
        use EnvironmentEvent as E;
        use EnvironmentStatus as S;
        let next = match (self, event) {
            (S::Deleted | S::ErrorCreation, E::EnableRequested) => S::PendingCreation,
            (S::PendingCreation, E::CreateStarted) => S::Creating,
            (S::Creating, E::Ready) => S::Active,
            (S::PendingCreation | S::Creating, E::CreateFailed) => S::ErrorCreation,
            (S::Active, E::ScaleStarted) => S::Scaling,
            (S::Scaling, E::ScaleFinished) => S::Active,
            // A machine that changes its size is silent for a while; the change has limits itself.
            (S::Active, E::HeartbeatLost) => S::Unresponsive,
            (S::Unresponsive, E::HeartbeatHeard) => S::Active,
            (S::Creating | S::Active | S::Scaling | S::Unresponsive, E::MachineLost) => {
                S::PendingCreation
            }
            (S::Active | S::Scaling | S::Unresponsive, E::MachineGivenUp) => S::ErrorCreation,
            (
                S::PendingCreation
                | S::Creating
                | S::Active
                | S::Scaling
                | S::Unresponsive
                | S::ErrorCreation
                | S::ErrorDeletion,
                E::DisableRequested,
            ) => S::PendingDeletion,
            (S::PendingDeletion | S::ErrorDeletion, E::DeleteStarted) => S::Deleting,
            (S::PendingDeletion | S::Deleting, E::DeleteFailed) => S::ErrorDeletion,
            (S::Deleting, E::DeleteFinished) => S::Deleted,
            (from, event) => return Err(InvalidEnvironmentTransition { from, event }),
        };
        Ok(next)
    }

    /// Whether tools can be expected to answer.
    #[must_use]
    pub fn serves(self) -> bool {
        matches!(self, Self::Active | Self::Scaling | Self::Unresponsive)
    }
}

/// What is not as it was wanted although the machine serves, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is and what to do.
    pub text: String,
    /// When this was last seen to be so.
    pub seen_at: DateTime<Utc>,
}

/// The record of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Whose it is; unique.
    pub account_id: AccountId,
    /// Where its machine comes from.
    pub provider: ProviderKind,
    /// What the account wants.
    pub desired: DesiredEnvironment,
    /// Grows with every change of what is wanted.
    pub generation: i64,
    /// Where it stands.
    pub status: EnvironmentStatus,
    /// Since when it stands there.
    pub status_since: DateTime<Utc>,
    /// The provider's id of the machine.
    pub machine_id: Option<String>,
    /// The address on which the DTMA answers.
    pub ip_address: Option<IpAddr>,
    /// The port on which the DTMA answers (30000 unless it is taken on a `local` machine).
    pub dtma_port: Option<u16>,
    /// The provider's region.
    pub region: Option<String>,
    /// The provider's size.
    pub size: Option<String>,
    /// The provider's image.
    pub image: Option<String>,
    /// The change of size that is under way; only while it is [`EnvironmentStatus::Scaling`].
    pub scaling: Option<Scaling>,
    /// What is known of the machine's own firewall at its provider; `None` as long as it never
    /// needed one.
    pub firewall: Option<FirewallRecord>,
    /// What the machine costs a month as long as the provider has it, in US cents.
    pub monthly_price_cents: Option<u32>,
    /// The disk that the provider gave the machine, in bytes. It stays when the size changes, and
    /// a size with a smaller one can't be had.
    pub machine_disk_bytes: Option<u64>,
    /// When the provider says the machine was made.
    pub provider_created_at: Option<DateTime<Utc>>,
    /// When the DTMA was last heard, by the control plane's clock.
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    /// What went wrong last, for people.
    pub error_message: Option<String>,
    /// What is not as it was wanted although the machine serves.
    pub notice: Option<Notice>,
    /// The version of the DTMA.
    pub dtma_version: Option<String>,
    /// What the machine has, as its DTMA reported.
    pub capacity: Option<Capacity>,
    /// The container runtime that the DTMA chose: `docker` or `process`.
    pub runtime: Option<String>,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Environment {
    /// What there is room for on the machine, also when a change of size that is under way has
    /// ended, whichever way it ends: of both sizes, the smaller part of each. `None` as long as the
    /// machine did not say what it has.
    #[must_use]
    pub fn room(&self) -> Option<Capacity> {
        let now = self.capacity?;
        let then = self.scaling.as_ref().and_then(|scaling| scaling.capacity);
        let then = then.unwrap_or(now);
        Some(Capacity {
            cpu_millis: now.cpu_millis.min(then.cpu_millis),
            memory_bytes: now.memory_bytes.min(then.memory_bytes),
            disk_bytes: now.disk_bytes.min(then.disk_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::EnvironmentEvent as E;
    use super::EnvironmentStatus as S;

    fn walk(from: S, events: &[E]) -> S {
        events
            .iter()
            .fold(from, |status, event| status.on(*event).unwrap())
    }

    #[test]
    fn a_life_from_enable_to_deleted_and_back() {
        let end = walk(
            S::PendingCreation,
            &[
                E::CreateStarted,
                E::Ready,
                E::HeartbeatLost,
                E::HeartbeatHeard,
                E::ScaleStarted,
                E::ScaleFinished,
                E::DisableRequested,
                E::DeleteStarted,
                E::DeleteFailed,
                E::DeleteStarted,
                E::DeleteFinished,
                E::EnableRequested,
            ],
        );
        assert_eq!(end, S::PendingCreation);
    }

    #[test]
    fn every_status_but_those_of_deletion_can_be_disabled() {
        for status in S::ALL {
            let allowed = status.on(E::DisableRequested).is_ok();
            let expected = !matches!(status, S::PendingDeletion | S::Deleting | S::Deleted);
            assert_eq!(allowed, expected, "{status:?}");
        }
    }

    #[test]
    fn a_deleted_environment_takes_nothing_but_enable() {
        assert!(S::Deleted.on(E::Ready).is_err());
        assert!(S::Deleted.on(E::MachineLost).is_err());
        assert_eq!(S::Deleted.on(E::EnableRequested), Ok(S::PendingCreation));
    }
}
