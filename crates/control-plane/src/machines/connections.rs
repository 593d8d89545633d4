//! Clients for the DTMAs: one for each machine, kept while its address, its token and our own
//! certificate stay the same, so that connections are pooled and calls share one HTTP/2 connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::environment::Environment;
use agentopia_domain::{CredentialId, EnvironmentId};
use agentopia_dtma_api::to_dtma::{DtmaClient, DtmaEndpoint};
use agentopia_store::{CredentialState, DtmaCredential, Store, StoreError};
use agentopia_vault::{Context, Vault};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::time::Instant;

use super::Authority;

/// How long a client is used before the credential is looked at again. Together with the DTMA's own
/// checks this bounds how long a revoked machine is still called.
const TRUST: Duration = Duration::from_secs(5);

/// Why there is no client for a machine.
#[derive(Debug, thiserror::Error)]
pub enum NoConnection {
    /// It has no address, or has not enrolled.
    #[error("the environment has no machine that enrolled yet")]
    NotEnrolled,
    /// Its credentials were seen in two places.
    #[error("the machine's credentials are locked: {0}")]
    Locked(String),
    /// Key, certificate or token can't be used.
    #[error("the machine's credentials can't be used: {0}")]
    Unusable(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a client was built from: another one is needed when any of it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BuiltFrom {
    address: SocketAddr,
    credential: CredentialId,
    certificate: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    client: DtmaClient,
    from: BuiltFrom,
    checked: Instant,
}

/// All clients of this replica.
#[derive(Debug)]
pub struct Connections {
    store: Store,
    vault: Arc<dyn Vault>,
    authority: Arc<Authority>,
    entries: RwLock<HashMap<EnvironmentId, Entry>>,
}

impl Connections {
    /// None are open yet.
    #[must_use]
    pub fn new(store: Store, vault: Arc<dyn Vault>, authority: Arc<Authority>) -> Self {
        Self {
            store,
            vault,
            authority,
            entries: RwLock::default(),
        }
    }

    /// Where the credentials are kept.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// A client that was looked at a moment ago: no database access. The way of the hot path.
    #[must_use]
    pub fn recent(&self, environment: EnvironmentId) -> Option<DtmaClient> {
        let entries = self.entries.read();
        let entry = entries.get(&environment)?;
        (entry.checked.elapsed() < TRUST).then(|| entry.client.clone())
    }

    /// The client of a machine, by its id.
    ///
    /// # Errors
    /// See [`NoConnection`].
    pub async fn by_id(&self, environment: EnvironmentId) -> Result<DtmaClient, NoConnection> {
        if let Some(client) = self.recent(environment) {
            return Ok(client);
        }
        let environment = self.store.environments().get_unscoped(environment).await?;
        self.of(&environment).await
    }

    /// The client of a machine whose record was just read.
    ///
    /// # Errors
    /// See [`NoConnection`].
    pub async fn of(&self, environment: &Environment) -> Result<DtmaClient, NoConnection> {
        let credential = self
            .store
            .dtma_credentials()
            .by_environment_unscoped(environment.id)
            .await?;
        let found = credential.and_then(|credential| {
            let address = environment.ip_address?;
            Some((SocketAddr::new(address, environment.dtma_port?), credential))
        });
        let Some((address, credential)) = found else {
            self.entries.write().remove(&environment.id);
            return Err(NoConnection::NotEnrolled);
        };
        match &credential.state {
            CredentialState::Active => {}
            CredentialState::Locked { reason } => {
                self.entries.write().remove(&environment.id);
                return Err(NoConnection::Locked(reason.clone()));
            }
            CredentialState::Enrolling | CredentialState::Revoked => {
                self.entries.write().remove(&environment.id);
                return Err(NoConnection::NotEnrolled);
            }
        }
        let own = self.authority.own();
        let from = BuiltFrom {
            address,
            credential: credential.id,
            certificate: own.number,
        };
        if let Some(entry) = self.entries.write().get_mut(&environment.id)
            && entry.from == from
        {
            entry.checked = Instant::now();
            return Ok(entry.client.clone());
        }
        let client = self.build(environment.id, address, &credential).await?;
        let entry = Entry {
            client: client.clone(),
            from,
            checked: Instant::now(),
        };
        self.entries.write().insert(environment.id, entry);
        Ok(client)
    }

    async fn build(
        &self,
        environment: EnvironmentId,
        address: SocketAddr,
        credential: &DtmaCredential,
    ) -> Result<DtmaClient, NoConnection> {
        let unusable = |error: &dyn std::fmt::Display| NoConnection::Unusable(error.to_string());
        let sealed = credential
            .control_bearer
            .as_deref()
            .ok_or(NoConnection::NotEnrolled)?;
        let context = Context::ControlBearer {
            account_id: credential.account_id,
            credential_id: credential.id.as_uuid(),
        };
        let bearer = self
            .vault
            .open_text(&context, sealed)
            .await
            .map_err(|error| unusable(&error))?;
        let own = self.authority.own();
        DtmaClient::new(DtmaEndpoint {
            environment,
            address,
            certificate_pem: &own.certificate_pem,
            key: &own.key,
            ca_pem: self.authority.ca.certificate_pem(),
            bearer,
        })
        .map_err(|error| unusable(&error))
    }
}
