//! An installation with a listener for machines, and machines that talk to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use agentopia_control_plane::machines::Authority;
use agentopia_control_plane::machines::credentials::Issuer;
use agentopia_control_plane::machines::listener::{self, Downloads, ListenerState};
use agentopia_control_plane::reconcilers::Bells;
use agentopia_domain::environment::ProviderKind;
use agentopia_domain::resources::Capacity;
use agentopia_domain::user::Role;
use agentopia_domain::{AccountId, Ambient, EnvironmentId, UserId};
use agentopia_dtma_api::to_control_plane::{
    ControlPlaneClient, ControlPlaneError, Credentials, EnrolRequest, Heartbeat, Identity,
    MachineFacts, RenewRequest, renewal_message,
};
use agentopia_pki::MachineKey;
use agentopia_pki::tls::CaTrust;
use agentopia_store::{DatabaseConfig, NewEnvironment, NewUser, SqliteSync, Store};
use agentopia_vault::{BuiltIn, Keyring, Vault};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

pub(crate) struct Installation {
    pub(crate) store: Store,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) ambient: Ambient,
    pub(crate) url: Url,
    _dir: TempDir,
}

impl Installation {
    pub(crate) async fn start() -> Self {
        Self::at(Ambient::system()).await
    }

    pub(crate) async fn at(ambient: Ambient) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = DatabaseConfig::Sqlite {
            path: dir.path().join("test.db"),
            sync: SqliteSync::Normal,
        };
        let store = Store::connect(&database, ambient.clone()).await.unwrap();
        store.migrate().await.unwrap();
        let keyring = Keyring::generate(&ambient);
        let vault: Arc<dyn Vault> = Arc::new(BuiltIn::new(keyring, ambient.clone()));
        let authority = Authority::open(&store, &*vault, ambient.clone())
            .await
            .unwrap();
        let authority = Arc::new(authority);
        let downloads = downloads(dir.path());
        let state = ListenerState {
            offer: Some(downloads.clone()),
            store: store.clone(),
            vault: Arc::clone(&vault),
            authority: Arc::clone(&authority),
            ambient: ambient.clone(),
            bells: Bells::default(),
            downloads: Some(downloads),
        };
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", socket.local_addr().unwrap())
            .parse()
            .unwrap();
        let tls = authority.server_config().unwrap();
        let serving = agentopia_pki::listener::serve(
            socket,
            tls,
            listener::router(state),
            std::future::pending(),
        );
        tokio::spawn(serving);
        Self {
            store,
            vault,
            authority,
            ambient,
            url,
            _dir: dir,
        }
    }

    /// An account with an environment that nobody has enrolled for yet.
    pub(crate) async fn environment(&self, email: &str) -> (AccountId, EnvironmentId) {
        let new = NewUser {
            id: self.ambient.new_id::<UserId>(),
            email: email.to_owned(),
            password_hash: None,
            role: Role::User,
        };
        let account = AccountId::from(self.store.users().create(new, &[]).await.unwrap().id);
        let new = NewEnvironment {
            id: self.ambient.new_id(),
            provider: ProviderKind::Local,
            region: None,
            size: None,
            image: None,
        };
        let made = self
            .store
            .environments()
            .get_or_create(account, new, &[])
            .await
            .unwrap();
        (account, made.value.id)
    }

    pub(crate) async fn invite(
        &self,
        (account, environment): (AccountId, EnvironmentId),
    ) -> SecretString {
        let issuer = Issuer {
            store: &self.store,
            vault: &*self.vault,
            authority: &self.authority,
            ambient: &self.ambient,
        };
        issuer.invite(account, environment).await.unwrap()
    }

    /// A client that knows only the CA's fingerprint, as a new machine does.
    pub(crate) fn stranger(&self) -> ControlPlaneClient {
        let trust = CaTrust::Fingerprint(self.authority.ca.fingerprint());
        ControlPlaneClient::new(self.url.clone(), &trust, None).unwrap()
    }

    pub(crate) async fn enrol(
        &self,
        token: &SecretString,
        key: &MachineKey,
    ) -> Result<Credentials, ControlPlaneError> {
        let request = EnrolRequest {
            token: token.clone(),
            csr_pem: key.csr_pem("test machine").unwrap(),
            machine: facts(),
        };
        self.stranger().enrol(&request).await
    }

    /// A machine that enrolled.
    pub(crate) async fn machine(&self, email: &str) -> Machine {
        let owner = self.environment(email).await;
        let token = self.invite(owner).await;
        let key = Arc::new(MachineKey::generate().unwrap());
        let credentials = self.enrol(&token, &key).await.unwrap();
        Machine {
            account: owner.0,
            environment: owner.1,
            key,
            credentials,
        }
    }

    pub(crate) fn client(&self, machine: &Machine) -> ControlPlaneClient {
        self.client_with(machine, &machine.credentials.bearer)
    }

    pub(crate) fn client_with(
        &self,
        machine: &Machine,
        bearer: &SecretString,
    ) -> ControlPlaneClient {
        let identity = Identity {
            certificate_pem: machine.credentials.certificate_pem.clone(),
            key: Arc::clone(&machine.key),
            bearer: bearer.clone(),
        };
        let trust = CaTrust::Pem(machine.credentials.ca_pem.clone());
        ControlPlaneClient::new(self.url.clone(), &trust, Some(&identity)).unwrap()
    }

    /// Renews with a new key, as the DTMA does.
    pub(crate) async fn renew(&self, machine: &Machine) -> Result<Machine, ControlPlaneError> {
        let key = MachineKey::generate().unwrap();
        let csr_pem = key.csr_pem("test machine").unwrap();
        let counter = machine.credentials.join_counter;
        let message = renewal_message(machine.environment, counter, &csr_pem);
        let request = RenewRequest {
            environment_id: machine.environment,
            join_counter: counter,
            signature: machine.key.sign(&message).unwrap(),
            csr_pem,
        };
        let credentials = self
            .stranger()
            .renew(&request, &machine.credentials.bearer)
            .await?;
        Ok(Machine {
            key: Arc::new(key),
            credentials,
            ..*machine
        })
    }
}

/// Programs of different lengths, one of several pieces.
fn downloads(dir: &Path) -> Downloads {
    let (dtma, tool_init) = (dir.join("dtma"), dir.join("tool-init"));
    std::fs::write(&dtma, program("dtma")).unwrap();
    std::fs::write(&tool_init, program("tool-init")).unwrap();
    let downloads = Downloads::open(&dtma, Some(&tool_init)).unwrap();
    // Machines were promised what was there at the start.
    std::fs::remove_file(&dtma).unwrap();
    std::fs::write(&dtma, "something else").unwrap();
    downloads
}

/// What the program of this name consists of.
pub(crate) fn program(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(name.len() * 50_001).collect()
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) account: AccountId,
    pub(crate) environment: EnvironmentId,
    pub(crate) key: Arc<MachineKey>,
    pub(crate) credentials: Credentials,
}

pub(crate) fn facts() -> MachineFacts {
    MachineFacts {
        dtma_version: "0.0.0".to_owned(),
        dtma_sha256: None,
        boot_id: "boot".to_owned(),
        port: 30_000,
        machine_id: None,
        runtime: "process".to_owned(),
        versions: BTreeMap::new(),
        capacity: Capacity::default(),
    }
}

pub(crate) fn beat() -> Heartbeat {
    Heartbeat {
        machine: facts(),
        instances: Vec::new(),
        samples: Vec::new(),
        update: None,
    }
}

/// The code with which a request was refused.
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, ControlPlaneError>) -> String {
    match answer {
        Err(ControlPlaneError::Refused(problem)) => problem.code,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
