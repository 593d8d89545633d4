//! The program `digitalocean-sim`: reads its arguments, puts a simulator together, and serves it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentopia_domain::SystemClock;
use anyhow::Context as _;
use clap::Parser;
use digitalocean_sim::machines::{DockerMachines, Machines, NoMachines};
use digitalocean_sim::{FaultPlan, Options, Settings, Simulator, Token};
use digitalocean_sim::{admin_router, keep, router, serve};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use machine_arguments::MachineArguments;

mod machine_arguments;

/// Simulates DigitalOcean's API v2, with faults and a clock that can be steered.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the admin API listens: a loopback address, as it asks nobody for a password
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    #[command(flatten)]
    machines: MachineArguments,
    /// What goes wrong (TOML; see the crate's README)
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Settings and tokens (TOML; see the crate's README)
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Of all chance: the same seed gives the same run
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What a settings file holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SettingsFile {
    settings: Settings,
    tokens: Option<Vec<Token>>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    run(Arguments::parse()).await
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut options = Options::new(arguments.seed, Arc::new(SystemClock));
    let docker = match arguments.machines.docker()? {
        Some(docker) => Some(Arc::new(DockerMachines::new(docker).await?)),
        None => None,
    };
    options.machines = match &docker {
        Some(docker) => Arc::clone(docker) as Arc<dyn Machines>,
        None => Arc::new(NoMachines::default()),
    };
    if let Some(path) = &arguments.faults {
        options.faults = read::<FaultPlan>(path)?;
    }
    if let Some(path) = &arguments.settings {
        let file = read::<SettingsFile>(path)?;
        options.settings = file.settings;
        options.tokens = file.tokens.unwrap_or(options.tokens);
    }
    let served = serve_all(&arguments, Simulator::new(options)).await;
    if let Some(docker) = docker {
        docker.remove_all().await?;
    }
    served
}

/// Until it fails, or somebody asks for its end.
async fn serve_all(arguments: &Arguments, simulator: Simulator) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let api = listen(arguments.listen).await?;
    tracing::info!(address = %api.local_addr()?, seed = arguments.seed, "the API is up");
    let admin = match arguments.admin {
        Some(address) => Some(listen_admin(address).await?),
        None => None,
    };
    tokio::select! {
        ended = serve::serve(api, router(simulator.clone())) => ended.map(|never| match never {})?,
        ended = serve_admin(admin, simulator.clone()) => ended?,
        () = keep(simulator) => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can not listen on {address}"))
}

async fn listen_admin(address: SocketAddr) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(
        address.ip().is_loopback(),
        "the admin API asks for no password, so it only listens on a loopback address, not on {address}"
    );
    let listener = listen(address).await?;
    tracing::info!(address = %listener.local_addr()?, "the admin API is up");
    Ok(listener)
}

async fn serve_admin(listener: Option<TcpListener>, simulator: Simulator) -> anyhow::Result<()> {
    match listener {
        Some(listener) => Ok(axum::serve(listener, admin_router(simulator)).await?),
        None => std::future::pending().await,
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can not read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not right", path.display()))
}
