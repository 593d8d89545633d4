//! The provider `digitalocean`: machines of environments are droplets (ENV-4).
//!
//! ```text
//! settings    what an operator says        naming       tags and names, and what proves to be ours
//! preflight   can it be made as wished     base_policy  the firewall that is there before
//! create      one request, never two       find         which droplet it is, and which are too many
//! remove      gone when DigitalOcean says so            act          power and resize actions
//! open_ports  the firewall of one machine alone
//! sizes       what there is to choose, and its price    inventory    all that has our mark
//! project     where people look for it
//! verify      whether all of that can work, by reading alone
//! memo · machine · trouble   small helpers
//! ```
//!
//! Whatever it does can be cut off at any point and begun again: what counts is what DigitalOcean
//! has, found by the id that was written down or by tag. A machine's user-data can't be changed
//! after it was made, so a machine that did not enrol is deleted and made anew.

mod act;
mod base_policy;
mod create;
mod find;
mod inventory;
mod machine;
mod memo;
mod naming;
mod open_ports;
mod preflight;
mod project;
mod remove;
mod settings;
mod sizes;
mod trouble;
mod verify;

use std::collections::BTreeSet;

use agentopia_cloud::{
    Begun, Deletion, Found, Machine, MachineAction, MachineProvider, MachineRequest, MachineSize,
    OperationState, Proof, ProviderError, Sought,
};
use agentopia_domain::direct_access::OpenPort;
use agentopia_domain::environment::ProviderKind;
use agentopia_domain::verification::Check;
use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::Client;
use crate::droplets::{DropletAction, DropletStatus, PowerAction};
use memo::Memo;
use naming::Naming;
pub use settings::{ProviderSettings, SettingsError};
use trouble::trouble;

/// See the module's header.
#[derive(Debug)]
pub struct DigitalOceanProvider {
    api: Client,
    settings: ProviderSettings,
    naming: Naming,
    memo: Memo,
    /// Held while the base policy is looked after.
    policy: Mutex<()>,
    sizes: Mutex<Option<sizes::ReadSizes>>,
}

impl DigitalOceanProvider {
    /// Nothing is asked of DigitalOcean yet.
    ///
    /// # Errors
    /// When the settings can't be used; the sentence says what to change.
    pub fn new(api: Client, settings: ProviderSettings) -> Result<Self, SettingsError> {
        let naming = settings.check()?;
        Ok(Self {
            memo: Memo::new(api.ambient().clone()),
            api,
            settings,
            naming,
            policy: Mutex::default(),
            sizes: Mutex::default(),
        })
    }
}

#[async_trait]
impl MachineProvider for DigitalOceanProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Digitalocean
    }

    async fn find(&self, sought: Sought<'_>) -> Result<Option<Machine>, ProviderError> {
        self.look(sought).await
    }

    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        self.make(request).await
    }

    /// User-data is read once and can't be changed.
    fn can_rebootstrap(&self) -> bool {
        false
    }

    async fn rebootstrap(&self, _request: &MachineRequest) -> Result<bool, ProviderError> {
        Ok(false)
    }

    async fn start(&self, sought: Sought<'_>) -> Result<(), ProviderError> {
        self.memo.forget(sought.environment);
        let droplet = match self.known(sought).await? {
            Some(droplet) => Some(droplet),
            None => self.tagged(sought.environment).await?.into_iter().next(),
        };
        let Some(droplet) = droplet else {
            return Err(ProviderError::Retryable(
                "there is no droplet to turn on (any more)".to_owned(),
            ));
        };
        if matches!(droplet.status, DropletStatus::Active | DropletStatus::New) {
            return Ok(());
        }
        // Asking twice turns it on once, so an answer that was lost is no trouble.
        let on = DropletAction::Power(PowerAction::PowerOn);
        let asked = self.api.droplets().act(droplet.id, &on).await;
        asked.map(drop).map_err(trouble)
    }

    async fn file(&self, sought: Sought<'_>) -> Result<(), ProviderError> {
        self.put_in_project(sought).await.map_err(|error| {
            let project = self.settings.project.as_ref();
            let project = project.map(ToString::to_string).unwrap_or_default();
            ProviderError::Retryable(format!(
                "the droplet serves, but could not be put into the project {project}: {error}. \
                 Correct DO_PROJECT_ID, and see that the token has the scope project:update; it is \
                 tried again every ten minutes"
            ))
        })
    }

    async fn delete(&self, sought: Sought<'_>) -> Result<Deletion, ProviderError> {
        self.remove(sought).await
    }

    async fn open_ports(
        &self,
        sought: Sought<'_>,
        ports: &BTreeSet<OpenPort>,
    ) -> Result<(), ProviderError> {
        self.let_in(sought, ports).await
    }

    async fn inventory(&self) -> Result<Vec<Found>, ProviderError> {
        self.everything().await
    }

    async fn remove_found(&self, found: &Found, proof: Proof) -> Result<Deletion, ProviderError> {
        self.take_away(found, proof).await
    }

    async fn verify(&self) -> Vec<Check> {
        self.look_at_everything().await
    }

    async fn sizes(&self) -> Result<Vec<MachineSize>, ProviderError> {
        self.offered().await
    }

    async fn act(
        &self,
        sought: Sought<'_>,
        action: MachineAction<'_>,
    ) -> Result<Begun, ProviderError> {
        self.begin(sought, action).await
    }

    async fn operation(
        &self,
        sought: Sought<'_>,
        operation: &str,
    ) -> Result<OperationState, ProviderError> {
        self.progress(sought, operation).await
    }
}
