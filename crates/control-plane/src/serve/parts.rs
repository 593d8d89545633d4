//! Everything that the control plane is made of, opened and connected.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::MachineProvider;
use agentopia_domain::Ambient;
use agentopia_gateway::{CallLimits, Gateway, GatewayConfig, GatewayParts};
use agentopia_remote::RemoteClient;
use agentopia_store::{DatabaseConfig, Store, StoreError};
use agentopia_vault::{BuiltIn, KeySource, Keyring, Vault};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use tokio_util::sync::CancellationToken;

use crate::auth::setup::{self, SetupGate};
use crate::catalog_seed;
use crate::config::Config;
use crate::installation;
use crate::machines::listener::Downloads;
use crate::machines::{Authority, Connections};
use crate::mcp_gateway::audit::CallAudit;
use crate::mcp_gateway::connector::MachineConnector;
use crate::mcp_gateway::last_lists::LastLists;
use crate::mcp_gateway::names::StoredNames;
use crate::mcp_gateway::people::Owners;
use crate::mcp_gateway::remote::RemoteServers;
use crate::mcp_gateway::restarts::Restarts;
use crate::mcp_gateway::sleep::Sleepers;
use crate::mcp_gateway::typed::TypedCalls;
use crate::oauth::guarded::Published;
use crate::reconcilers::Bells;
use crate::reconcilers::routes::RoutesBell;
use crate::serve::sole::{self, SoleUse};
use crate::state::{AppState, Seams, Wake};
use crate::verification::Verifier;

const SEAL_KEY_NAME: &str = "gateway-seal-key";
const SETUP_TOKEN_NAME: &str = "setup-token";

pub(super) struct Parts {
    /// Held for as long as the process uses its database.
    pub(super) _sole_use: Option<SoleUse>,
    pub(super) store: Store,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) ambient: Ambient,
    pub(super) authority: Arc<Authority>,
    pub(super) connections: Arc<Connections>,
    pub(super) bells: Bells,
    pub(super) routes: RoutesBell,
    pub(super) gateway: Gateway,
    pub(super) remotes: Arc<RemoteServers>,
    pub(super) state: AppState,
    /// Names this process in leases.
    pub(super) replica: Arc<str>,
}

impl Parts {
    pub(super) async fn assemble(
        config: Arc<Config>,
        ambient: Ambient,
        provider: Arc<dyn MachineProvider>,
        offer: Option<Downloads>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<(Self, Option<SecretString>)> {
        make_private(&config.data_dir)?;
        let database = database(&config)?;
        let sole_use = SoleUse::of(&database, sole::PATIENCE).await?;
        let store = Store::connect(&database, ambient.clone())
            .await
            .with_context(|| format!("{} can't be opened", database.describe()))?;
        store
            .migrate()
            .await
            .context("the database can't be brought up to date")?;
        if let Some(sole_use) = &sole_use {
            sole_use.take_over(&store).await?;
        }
        let (key, file) = (config.vault_key.clone(), config.vault_key_file.clone());
        let keys = KeySource::choose(key, file, &config.data_dir);
        if let KeySource::Own(path) = &keys
            && !path.exists()
        {
            let sealed = store.system_secrets().list().await?;
            anyhow::ensure!(
                sealed.is_empty(),
                "the database has sealed values, but its key file {} is missing; put it back (from \
                 the backup), or set `vault_key_file` to where it is",
                path.display()
            );
        }
        let keyring = Keyring::load(&keys, &ambient)?;
        let vault: Arc<dyn Vault> = Arc::new(BuiltIn::new(keyring, ambient.clone()));
        let authority = Arc::new(Authority::open(&store, &*vault, ambient.clone()).await?);
        let connections = Arc::new(Connections::new(
            store.clone(),
            Arc::clone(&vault),
            Arc::clone(&authority),
        ));
        seed_catalog(&store, &config, &ambient).await?;

        let bells = Bells::default();
        let routes = RoutesBell::default();
        // Calls wait for the first table: without one no token would be known.
        routes.ring();
        let restarts = Restarts {
            connections: Arc::clone(&connections),
            bells: bells.clone(),
        };
        let remotes = Arc::new(RemoteServers::new(
            store.clone(),
            Arc::clone(&vault),
            RemoteClient::new(config.remote_policy()),
            ambient.clone(),
        ));
        let gateway = Gateway::start(GatewayParts {
            config: gateway_config(&config),
            ambient: ambient.clone(),
            seal_key: seal_key(&store, &*vault, &ambient).await?,
            connector: Arc::new(MachineConnector {
                restarts: restarts.clone(),
                remotes: Arc::clone(&remotes),
            }),
            name_book: Arc::new(StoredNames {
                store: store.clone(),
                routes: routes.clone(),
            }),
            authoriser: Arc::new(Owners {
                store: store.clone(),
                ambient: ambient.clone(),
            }),
            audit: Arc::new(CallAudit::new(store.clone())),
            waker: Arc::new(Sleepers {
                store: store.clone(),
                bells: bells.clone(),
                routes: routes.clone(),
            }),
        });
        let (setup, setup_token) = open_setup(&store, &*vault, &ambient, &config.data_dir).await?;
        let typed = TypedCalls {
            gateway: gateway.clone(),
            routes: routes.clone(),
            store: store.clone(),
            restarts,
            remotes: Arc::clone(&remotes),
            call_limit: Duration::from_secs(config.call_timeout_seconds),
            last: LastLists::default(),
        };
        let seams = Seams {
            wake: Arc::new(Ringer {
                bells: bells.clone(),
                routes: routes.clone(),
            }),
            machines: Arc::clone(&connections) as _,
            gateway: Arc::new(typed),
            offers: Arc::new(Arc::clone(&provider)),
            documents: Arc::new(Published::within(&config)),
            inspect: Arc::new(Verifier {
                store: store.clone(),
                vault: Arc::clone(&vault),
                ambient: ambient.clone(),
                config: Arc::clone(&config),
                authority: Arc::clone(&authority),
                connections: Arc::clone(&connections),
                provider,
                offer,
            }),
        };
        let mut state = AppState::new(
            store.clone(),
            Arc::clone(&vault),
            ambient.clone(),
            config,
            setup,
            seams,
        );
        state.shutdown = shutdown;
        let replica = replica_name(&ambient);
        let parts = Self {
            _sole_use: sole_use,
            store,
            vault,
            ambient,
            authority,
            connections,
            bells,
            routes,
            gateway,
            remotes,
            state,
            replica,
        };
        Ok((parts, setup_token))
    }
}

/// While nobody can sign in there is a set-up token, the same on every replica.
async fn open_setup(
    store: &Store,
    vault: &dyn Vault,
    ambient: &Ambient,
    data_dir: &Path,
) -> anyhow::Result<(SetupGate, Option<SecretString>)> {
    if !store.users().is_empty().await? {
        return Ok((SetupGate::closed(data_dir), None));
    }
    let make = || Ok(setup::mint(ambient));
    let token = installation::secret(store, vault, SETUP_TOKEN_NAME, make).await?;
    Ok((SetupGate::open(&token, data_dir)?, Some(token)))
}

/// Rings the bells of this replica.
#[derive(Debug)]
struct Ringer {
    bells: Bells,
    routes: RoutesBell,
}

impl Wake for Ringer {
    fn environment(&self, id: agentopia_domain::EnvironmentId) {
        self.bells.environments.ring(id.as_uuid());
    }

    fn instance(&self, id: agentopia_domain::InstanceId) {
        self.bells.instances.ring(id.as_uuid());
        self.routes.ring();
    }

    fn routes(&self) {
        self.routes.ring();
    }
}

fn make_private(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("`data_dir` {} can't be made", dir.display()))
}

fn database(config: &Config) -> anyhow::Result<DatabaseConfig> {
    match &config.database_url {
        Some(url) => DatabaseConfig::parse(url.expose_secret()).context("`database_url`"),
        None => Ok(DatabaseConfig::sqlite(config.data_dir.join("agentopia.db"))),
    }
}

fn gateway_config(config: &Config) -> GatewayConfig {
    let mut gateway = GatewayConfig {
        calls: CallLimits {
            agent: NonZeroU32::new(config.agent_calls_per_minute),
            account: NonZeroU32::new(config.account_calls_per_minute),
            tool: NonZeroU32::new(config.tool_calls_per_minute),
        },
        public_url: Some(config.base_url()),
        wake_timeout: Duration::from_secs(config.wake_timeout_seconds.into()),
        // The use of a tool is known well before its idle time can end.
        use_interval: Duration::from_secs((config.shortest_idle_seconds / 3).clamp(1, 10).into()),
        ..GatewayConfig::default()
    };
    let public = config
        .public_url
        .as_ref()
        .and_then(|url| url.host_str().map(str::to_owned));
    gateway.allowed_hosts.extend(public);
    gateway
        .allowed_hosts
        .extend(config.allowed_hosts.iter().cloned());
    gateway.allowed_origins.push(config.base_url());
    gateway
        .allowed_origins
        .extend(config.allowed_origins.iter().cloned());
    gateway
}

/// The key of session ids: the same on every replica, so kept in the store.
async fn seal_key(
    store: &Store,
    vault: &dyn Vault,
    ambient: &Ambient,
) -> anyhow::Result<SecretBox<[u8; 32]>> {
    let make = || Ok(SecretString::from(STANDARD.encode(ambient.random::<32>())));
    let text = installation::secret(store, vault, SEAL_KEY_NAME, make).await?;
    let bytes = zeroize::Zeroizing::new(STANDARD.decode(text.expose_secret())?);
    let mut key = SecretBox::new(Box::new([0; 32]));
    let slot: &mut [u8; 32] = secrecy::ExposeSecretMut::expose_secret_mut(&mut key);
    anyhow::ensure!(
        bytes.len() == slot.len(),
        "the gateway's key has a wrong length"
    );
    slot.copy_from_slice(&bytes);
    Ok(key)
}

async fn seed_catalog(store: &Store, config: &Config, ambient: &Ambient) -> anyhow::Result<()> {
    let images = match &config.catalog_images {
        Some(path) => catalog_seed::read_images(path)?,
        None => catalog_seed::BuiltImages::new(),
    };
    for definition in catalog_seed::definitions(&images)? {
        match store.catalog().by_slug(&definition.slug).await {
            Ok(stored) if stored.definition.status != definition.status => continue,
            // At nearly every start; a look at each costs less than four statements.
            Ok(stored) if stored.definition == definition => continue,
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        store
            .catalog()
            .upsert(ambient.new_id(), &definition, &[])
            .await?;
    }
    Ok(())
}

fn replica_name(ambient: &Ambient) -> Arc<str> {
    let host = hostname();
    format!(
        "{host}/{}/{}",
        std::process::id(),
        hex::encode(ambient.random::<4>())
    )
    .into()
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
