//! The machine's relation to the control plane while it runs: who we are now, the client that says
//! so, the TLS configuration of our own server, and whether we are still trusted.

use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_domain::token::TokenHash;
use agentopia_dtma_api::to_control_plane::{
    ControlPlaneClient, ControlPlaneError, Identity, OwnSecretsReply, OwnSecretsUse, SecretsReply,
    SecretsRequest,
};
use agentopia_pki::tls::{CaTrust, machine_server_config};
use parking_lot::RwLock;
use rustls::ServerConfig;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Notify, watch};
use url::Url;

use super::MachineIdentity;
use super::store::{IdentityStore, StoreError};

/// Whether the control plane still trusts this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Good,
    /// It saw two machines with these credentials and locked both: no commands, no MCP, no new
    /// starts; tools that run go on.
    Locked,
}

/// Shared by everything that talks to the control plane or is talked to by it.
#[derive(Debug)]
pub struct Link {
    base: Url,
    store: IdentityStore,
    state: RwLock<State>,
    tls: watch::Sender<Arc<ServerConfig>>,
    standing: watch::Sender<Standing>,
    renew_now: Notify,
}

#[derive(Debug)]
struct State {
    identity: Arc<MachineIdentity>,
    client: ControlPlaneClient,
}

impl Link {
    /// For the control plane at `base`, as `identity`.
    ///
    /// # Errors
    /// When key, certificate and CA don't fit together.
    pub fn new(
        base: Url,
        store: IdentityStore,
        identity: MachineIdentity,
    ) -> Result<Self, ControlPlaneError> {
        let standing = if identity.locked {
            Standing::Locked
        } else {
            Standing::Good
        };
        let tls = server_config(&identity)?;
        let client = client(&base, &identity)?;
        Ok(Self {
            base,
            store,
            state: RwLock::new(State {
                identity: Arc::new(identity),
                client,
            }),
            tls: watch::Sender::new(tls),
            standing: watch::Sender::new(standing),
            renew_now: Notify::new(),
        })
    }

    /// Who we are now.
    #[must_use]
    pub fn identity(&self) -> Arc<MachineIdentity> {
        Arc::clone(&self.state.read().identity)
    }

    /// The client that shows the current credentials.
    #[must_use]
    pub fn client(&self) -> ControlPlaneClient {
        self.state.read().client.clone()
    }

    /// A client without a certificate, for a renewal: the certificate may have ended.
    pub(super) fn anonymous_client(&self) -> Result<ControlPlaneClient, ControlPlaneError> {
        let trust = CaTrust::Pem(self.identity().ca_pem.clone());
        ControlPlaneClient::new(self.base.clone(), &trust, None)
    }

    pub(super) fn store(&self) -> &IdentityStore {
        &self.store
    }

    /// The TLS configuration of our server, replaced with each renewal.
    #[must_use]
    pub fn tls(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.tls.subscribe()
    }

    /// Whether we are trusted, and when that changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Whether the control plane locked this machine.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        *self.standing.borrow() == Standing::Locked
    }

    /// Fetches an instance's secrets.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    pub async fn secrets(
        &self,
        instance: InstanceId,
        request: &SecretsRequest,
    ) -> Result<SecretsReply, ControlPlaneError> {
        let outcome = self.client().secrets(instance, request).await;
        self.learn(outcome.as_ref().err());
        outcome
    }

    /// Fetches the secrets that a link carries.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    pub async fn own_secrets(
        &self,
        wanted: &OwnSecretsUse,
    ) -> Result<OwnSecretsReply, ControlPlaneError> {
        let outcome = self.client().own_secrets(wanted).await;
        self.learn(outcome.as_ref().err());
        outcome
    }

    /// Which of these uses of links' secrets are over.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    pub async fn own_secrets_over(
        &self,
        uses: &[OwnSecretsUse],
    ) -> Result<Vec<OwnSecretsUse>, ControlPlaneError> {
        let outcome = self.client().own_secrets_over(uses).await;
        self.learn(outcome.as_ref().err());
        outcome
    }

    /// Whether `bearer` is the control plane's token for this machine, in constant time.
    #[must_use]
    pub fn is_control_plane(&self, bearer: &SecretString) -> bool {
        let identity = self.identity();
        let shown = TokenHash::of(bearer.expose_secret());
        let current = shown.matches(&identity.control_plane_bearer);
        let before = identity
            .previous_control_plane_bearer
            .is_some_and(|before| shown.matches(&before));
        if current && identity.previous_control_plane_bearer.is_some() {
            self.change(|identity| identity.previous_control_plane_bearer = None);
        }
        current || before
    }

    /// Draws conclusions from how a call went: locks, unlocks, or has the credentials renewed.
    pub fn learn(&self, error: Option<&ControlPlaneError>) {
        match error.map(ControlPlaneError::code) {
            None => self.set_standing(Standing::Good),
            Some(Some("credentials_locked")) => self.set_standing(Standing::Locked),
            Some(Some("certificate_superseded" | "credentials_revoked" | "unauthenticated")) => {
                self.renew_now.notify_one();
            }
            Some(_) => {}
        }
    }

    /// Completes when somebody learnt that the credentials have to be renewed now.
    pub(super) async fn renewal_wanted(&self) {
        self.renew_now.notified().await;
    }

    /// Uses `identity`, which is already stored, from here on.
    pub(super) fn adopt(&self, identity: MachineIdentity) -> Result<(), ControlPlaneError> {
        let tls = server_config(&identity)?;
        let client = client(&self.base, &identity)?;
        *self.state.write() = State {
            identity: Arc::new(identity),
            client,
        };
        self.tls.send_replace(tls);
        self.set_standing(Standing::Good);
        Ok(())
    }

    fn set_standing(&self, new: Standing) {
        let changed = self.standing.send_if_modified(|standing| {
            let changed = *standing != new;
            *standing = new;
            changed
        });
        if !changed {
            return;
        }
        match new {
            Standing::Locked => tracing::error!(
                "the control plane saw a second machine with this machine's credentials (was its \
                 disk or a snapshot copied?) and locked both: commands and MCP are refused, tools \
                 that run go on, nothing new is started. Remove the copy, then disable the \
                 environment and enable it again"
            ),
            Standing::Good => tracing::warn!("the control plane trusts this machine again"),
        }
        self.change(|identity| identity.locked = new == Standing::Locked);
    }

    fn change(&self, change: impl FnOnce(&mut MachineIdentity)) {
        let mut state = self.state.write();
        let mut identity = (*state.identity).clone();
        change(&mut identity);
        if let Err(error) = self.save(&identity) {
            tracing::error!(%error, "the machine's identity can't be stored");
        }
        state.identity = Arc::new(identity);
    }

    fn save(&self, identity: &MachineIdentity) -> Result<(), StoreError> {
        self.store.save(identity)
    }
}

fn client(base: &Url, identity: &MachineIdentity) -> Result<ControlPlaneClient, ControlPlaneError> {
    let shown = Identity {
        certificate_pem: identity.certificate_pem.clone(),
        key: Arc::clone(&identity.key),
        bearer: identity.bearer.clone(),
    };
    let trust = CaTrust::Pem(identity.ca_pem.clone());
    ControlPlaneClient::new(base.clone(), &trust, Some(&shown))
}

fn server_config(identity: &MachineIdentity) -> Result<Arc<ServerConfig>, ControlPlaneError> {
    machine_server_config(&identity.certificate_pem, &identity.key, &identity.ca_pem).map_err(
        |error| ControlPlaneError::Protocol("this machine's certificate store", error.to_string()),
    )
}
