//! `agentopia serve`: puts the control plane together, runs it, and takes it down without losing
//! work. Wiring only; what is wired has files of its own.
//!
//! Order of starting: store and vault, then what others are told to call, then what calls others.
//! On shutdown the listeners stop first, requests under way end, reconcilers give their rows back,
//! and the gateway writes what it has of the audit.

mod housekeeping;
mod parts;
mod programs;
mod provider;
mod public;
mod sole;

use std::sync::Arc;

use agentopia_domain::Ambient;
use agentopia_pki::listener;
use anyhow::Context as _;
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::config::Config;
use crate::machines::listener::ListenerState;
use crate::packages::PackageSettings;
use crate::reconcilers::Bell;
use crate::reconcilers::environment::EnvironmentReconciler;
use crate::reconcilers::instance::InstanceReconciler;
use crate::reconcilers::orphans::OrphanSearch;
use crate::reconcilers::queue::{self, Reconcile};
use crate::reconcilers::routes;
use parts::Parts;

/// Runs the control plane until `shutdown`.
///
/// # Errors
/// When something that it can't do without is missing or taken; the error says what.
pub async fn run(
    config: Config,
    ambient: Ambient,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let public = bind(config.bind, "bind").await?;
    let machines = bind(config.dtma_listen, "dtma_listen").await?;
    let control_plane_url = Url::parse(&config.dtma_url()).context("`dtma_advertise_url`")?;
    let made = provider::machines(&config, &ambient)?;
    let packages = PackageSettings::read(&config)?;
    let (parts, setup_token) = {
        let provider = Arc::clone(&made.provider);
        let offer = made.offer.clone();
        Parts::assemble(config, ambient, provider, offer, shutdown.clone()).await?
    };
    announce(&parts, setup_token.as_ref());

    let tasks = TaskTracker::new();
    // Before the others, who keep the database busy at first: agents that call already wait for it.
    let (store, gateway, bell) = (
        parts.store.clone(),
        parts.gateway.clone(),
        parts.routes.clone(),
    );
    tasks.spawn(routes::run(store, gateway, bell, shutdown.clone()));
    let environments = EnvironmentReconciler {
        store: parts.store.clone(),
        vault: Arc::clone(&parts.vault),
        authority: Arc::clone(&parts.authority),
        machines: parts.connections.clone(),
        provider: Arc::clone(&made.provider),
        control_plane_url,
        ambient: parts.ambient.clone(),
        lost_machine: parts.state.config.lost_machine,
        bells: parts.bells.clone(),
    };
    let instances = InstanceReconciler {
        store: parts.store.clone(),
        machines: parts.connections.clone(),
        remotes: Arc::clone(&parts.remotes),
        bells: parts.bells.clone(),
        routes: parts.routes.clone(),
        tools: parts.connections.clone(),
        packages,
    };
    let work = |reconciler: Arc<dyn Reconcile>, bell| {
        let (store, replica) = (parts.store.clone(), Arc::clone(&parts.replica));
        queue::run(
            store,
            reconciler,
            replica,
            bell,
            parts.state.events.clone(),
            shutdown.clone(),
        )
    };
    tasks.spawn(work(
        Arc::new(environments),
        parts.bells.environments.clone(),
    ));
    tasks.spawn(work(Arc::new(instances), parts.bells.instances.clone()));
    parts.store.orphans().begin_searching().await?;
    let search = OrphanSearch {
        store: parts.store.clone(),
        provider: made.provider,
        policy: parts.state.config.orphans,
        ambient: parts.ambient.clone(),
    };
    // Nobody rings: it comes by time.
    tasks.spawn(work(Arc::new(search), Bell::default()));
    tasks.spawn(housekeeping::run(
        parts.store.clone(),
        parts.ambient.clone(),
        TimeDelta::days(i64::from(parts.state.config.calls_kept_days)),
        shutdown.clone(),
    ));
    let authority = Arc::clone(&parts.authority);
    let stop = shutdown.clone();
    tasks.spawn(async move { authority.keep_own_certificate(stop).await });

    let listener_state = ListenerState {
        store: parts.store.clone(),
        vault: Arc::clone(&parts.vault),
        authority: Arc::clone(&parts.authority),
        ambient: parts.ambient.clone(),
        bells: parts.bells.clone(),
        offer: made.offer,
        downloads: made.downloads,
    };
    let router = crate::machines::listener::router(listener_state);
    let tls = parts.authority.server_config()?;
    tasks.spawn(listener::serve(
        machines,
        tls,
        router,
        shutdown.clone().cancelled_owned(),
    ));

    public::serve(public, &parts, shutdown.clone()).await;
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    parts.gateway.shutdown().await;
    parts.store.close().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Whether a server could be set up with this configuration: everything that is known before
/// anything is opened, bound or asked.
///
/// # Errors
/// When something is missing or wrong; the error says which setting.
pub fn check(config: &Config, ambient: &Ambient) -> anyhow::Result<()> {
    provider::machines(config, ambient).map(drop)
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("`{key}` {address} can't be listened on; is another control plane running?")
    })
}

/// The lines that whoever starts the product looks for. On stdout, because they are the answer of
/// the command; the log goes to stderr.
#[expect(
    clippy::print_stdout,
    reason = "the command's answer, read by people and by script/run"
)]
fn announce(parts: &Parts, setup_token: Option<&SecretString>) {
    let base = parts.state.config.base_url();
    println!("Agentopia is listening on {base}");
    if let Some(token) = setup_token {
        println!(
            "First sign-in: {base}/setup?token={}",
            token.expose_secret()
        );
    }
}
