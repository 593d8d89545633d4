//! Looks at the whole installation from the inside (TOOL-12): for `agentopia verify`, which adds
//! what can be seen from outside only.
//!
//! ```text
//! own        configuration, database, vault        address    where machines reach us
//! provider   what it says itself, and orphans      machines   every environment's machine
//! ```
//!
//! Everything is looked at at once, each thing with a time limit, and nothing is changed. What is
//! found goes into one list: a thing that is wrong hides none of the others.

mod address;
mod machines;
mod own;
mod provider;

use std::fmt;
use std::sync::Arc;

use agentopia_cloud::MachineProvider;
use agentopia_cloud::verification::within;
use agentopia_domain::Ambient;
use agentopia_domain::verification::Check;
use agentopia_store::Store;
use agentopia_vault::Vault;
use async_trait::async_trait;

use crate::config::Config;
use crate::machines::listener::Downloads;
use crate::machines::{Authority, Connections};
use crate::state::Inspect;

/// How many hexadecimal digits name an installation.
const IDENTITY: usize = 16;

/// See the module's header.
pub struct Verifier {
    /// Where everything is kept.
    pub store: Store,
    /// Opens secrets.
    pub vault: Arc<dyn Vault>,
    /// Time.
    pub ambient: Ambient,
    /// What the operator set.
    pub config: Arc<Config>,
    /// The trust of machines.
    pub authority: Arc<Authority>,
    /// The ways to machines.
    pub connections: Arc<Connections>,
    /// Where machines come from.
    pub provider: Arc<dyn MachineProvider>,
    /// The DTMA that machines are to run, if they are to be updated.
    pub offer: Option<Downloads>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

#[async_trait]
impl Inspect for Verifier {
    /// The beginning of the CA's fingerprint: the CA is made once for each installation, and every
    /// machine and whoever asks the listener for machines is shown its certificate anyway.
    fn installation(&self) -> String {
        let mut fingerprint = self.authority.ca.fingerprint();
        fingerprint.truncate(IDENTITY);
        fingerprint
    }

    async fn verify(&self) -> Vec<Check> {
        let (database, vault, address, provider, orphans, machines) = tokio::join!(
            within(own::DATABASE, own::database(&self.store)),
            within(own::VAULT, own::vault(&self.store, &*self.vault)),
            within(
                address::NAME,
                address::check(&self.config, &self.authority, &self.ambient)
            ),
            self.provider.verify(),
            within(provider::ORPHANS, provider::orphans(&self.store)),
            self.machines(),
        );
        let mut checks = vec![own::configuration(&self.config), database, vault, address];
        checks.extend(provider);
        checks.push(orphans);
        checks.extend(machines);
        checks
    }
}
