//! Wiring: from a configuration to a running DTMA, and in order to its end.

mod check;
mod lock;
mod purge;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_dtma_api::to_control_plane::MachineFacts;
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::disk::DiskGuard;
use crate::facts::FactsSource;
use crate::files;
use crate::heartbeat::Heart;
use crate::identity::{
    Enrolment, IdentityStore, Link, MachineIdentity, establish, keep_renewed, renew_if_due,
};
use crate::ledger::Ledger;
use crate::mcp::{self, DataPath, DataPathConfig, OwnSecrets};
use crate::metrics::{Samples, keep_measured};
use crate::reconciler::{Limits, Reconciler, Shared};
use crate::runtime::choose::{Chosen, choose};
use crate::runtime::docker::DockerRuntime;
use crate::runtime::process::ProcessRuntime;
use crate::runtime::{Runtime, RuntimeContext, RuntimeKind};
use crate::server::{self, Api};
use crate::update::{Own, Settings, Updates};
pub use check::check;
use lock::Lock;
pub(crate) use lock::is_running;
pub use purge::purge;

/// How long child processes get to end when the DTMA does.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Between two attempts at an engine that went away between our first look and now.
const ENGINE_PAUSE: Duration = Duration::from_secs(2);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it was asked to.
    Asked,
    /// For another version of the program, which the launcher is to start.
    Update,
}

/// Which program this is, and where its configuration came from.
#[derive(Debug)]
pub struct Started<'a> {
    /// How this process came to be.
    pub own: &'a Own,
    /// The configuration file, to be handed to a version that is checked.
    pub config_file: Option<std::path::PathBuf>,
}

/// Runs until `shutdown`, or until another version of the DTMA is to take over. Tools go on under
/// Docker; child processes are ended.
///
/// # Errors
/// When the machine can't be enrolled, or its directories, port or credentials can't be used.
pub async fn run(
    mut config: Config,
    started: Started<'_>,
    ambient: Ambient,
    asked: CancellationToken,
) -> anyhow::Result<Ending> {
    let shutdown = asked.child_token();
    let settings = Settings::new(&config, started.config_file);
    let updates = Updates::open(settings, started.own.program(), ambient.clone())?;
    if let Some(tool_init) = updates.tool_init() {
        config.tool_init = tool_init;
    }
    let updates = Arc::new(updates);
    let began = async {
        files::private_dir(&config.data_dir)
            .with_context(|| format!("{} can't be used", config.data_dir.display()))?;
        let lock = Lock::take(&config.data_dir)?;
        let chosen = choose(config.runtime, &config.data_dir)
            .await
            .map_err(anyhow::Error::msg)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("{} can't be listened on", config.listen))?;
        let address = listener.local_addr()?;
        files::replace(
            &config.data_dir.join("port"),
            address.port().to_string().as_bytes(),
        )?;
        let facts = FactsSource::new(
            &ambient,
            address.port(),
            config.machine_id.clone(),
            &config.data_dir,
        );
        let (store, identity) = enrolled(&config, &ambient, &chosen, &facts).await?;
        let runtime = start_runtime(&config, &ambient, &chosen, &identity).await?;
        anyhow::Ok((lock, listener, address, facts, store, identity, runtime))
    };
    let (_lock, listener, address, facts, store, identity, runtime) = tokio::select! {
        began = began => began?,
        () = shutdown.cancelled() => return Ok(Ending::Asked),
    };
    let environment = identity.environment_id;
    let link = Arc::new(Link::new(
        config.control_plane_url.clone(),
        store,
        identity,
    )?);
    renew_if_due(&link, &ambient).await;
    let ledger = Ledger::open(&config.data_dir.join("ledger"), ambient.clone())
        .context("the ledger can't be opened")?;
    let data_path = DataPath::new(
        Arc::clone(&runtime),
        Arc::clone(&link) as Arc<dyn OwnSecrets>,
        DataPathConfig::default(),
        ambient.clone(),
    );
    // Where images and volumes are is where the disk fills up.
    let disk_of = runtime
        .facts()
        .await
        .store
        .unwrap_or_else(|| config.data_dir.clone());
    let shared = Shared::new(
        Arc::clone(&runtime),
        Arc::new(ledger),
        Arc::clone(&link),
        Arc::clone(&data_path),
        ambient.clone(),
        DiskGuard::new(disk_of.clone(), config.disk_floor_bytes),
        Limits {
            health_timeout: Duration::from_secs(config.health_timeout_seconds),
            ..Limits::default()
        },
        shutdown.clone(),
    );
    let reconciler = Reconciler::begin(Arc::clone(&shared));
    let facts = Arc::new(facts);
    let samples = Samples::default();
    let api = Api {
        reconciler: Arc::clone(&reconciler),
        facts: Arc::clone(&facts),
    };
    let front = server::front(api, &data_path);
    announce(environment, address, runtime.kind());

    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(keep_renewed(Arc::clone(&link), ambient, shutdown.clone()));
    tasks.spawn(mcp::keep_ended(
        Arc::clone(&data_path),
        Arc::clone(&link) as Arc<dyn OwnSecrets>,
        shutdown.clone(),
    ));
    tasks.spawn(keep_measured(shared, Arc::clone(&samples), disk_of));
    let heart = Heart::new(
        Arc::clone(&reconciler),
        facts,
        samples,
        Arc::clone(&updates),
    );
    tasks.spawn(heart.beat());
    if config.self_update {
        tasks.spawn(Arc::clone(&updates).run(Arc::clone(&link), shutdown.clone()));
    }
    tasks.close();
    agentopia_pki::listener::serve(listener, link.tls(), front, {
        let shutdown = shutdown.clone();
        async move { shutdown.cancelled().await }
    })
    .await;

    tracing::info!("shutting down");
    data_path.shutdown().await;
    reconciler.ended().await;
    tasks.wait().await;
    runtime.shutdown(SHUTDOWN_GRACE).await;
    tracing::info!("shut down");
    // Whoever asked for the end gets it, also during an update.
    Ok(match updates.wants_again() && !asked.is_cancelled() {
        true => Ending::Update,
        false => Ending::Asked,
    })
}

async fn enrolled(
    config: &Config,
    ambient: &Ambient,
    chosen: &Chosen,
    facts: &FactsSource,
) -> anyhow::Result<(IdentityStore, MachineIdentity)> {
    let store = IdentityStore::open(&config.data_dir.join("identity"))?;
    let machine: MachineFacts = facts.machine(chosen.kind, chosen.facts.clone());
    let enrolment = Enrolment {
        control_plane: &config.control_plane_url,
        ca_fingerprint: config.control_plane_ca_fingerprint.as_deref(),
        token_file: config.enrolment_token_file.as_deref(),
        machine: &machine,
    };
    let identity = establish(&store, &enrolment, ambient).await?;
    Ok((store, identity))
}

async fn start_runtime(
    config: &Config,
    ambient: &Ambient,
    chosen: &Chosen,
    identity: &MachineIdentity,
) -> anyhow::Result<Arc<dyn Runtime>> {
    let context = RuntimeContext {
        environment_id: identity.environment_id,
        data_dir: config.data_dir.clone(),
        run_dir: config.run_dir.clone(),
        tool_init: config.tool_init.clone(),
        tools_dir: config.tools_dir.clone(),
        dns_servers: config.dns_servers.clone(),
        ambient: ambient.clone(),
    };
    if chosen.kind == RuntimeKind::Process {
        return Ok(ProcessRuntime::new(context).await?);
    }
    loop {
        match DockerRuntime::connect(&chosen.socket, context.clone()).await {
            Ok(runtime) => return Ok(runtime),
            Err(error) if error.code.retry() == crate::runtime::Retry::Soon => {
                tracing::warn!(%error, "waiting for the container engine");
                tokio::time::sleep(ENGINE_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn announce(environment: agentopia_domain::EnvironmentId, address: SocketAddr, kind: RuntimeKind) {
    tracing::info!(
        %environment,
        %address,
        runtime = kind.as_str(),
        version = env!("CARGO_PKG_VERSION"),
        "the management agent is ready"
    );
}
