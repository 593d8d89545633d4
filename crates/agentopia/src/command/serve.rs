//! `agentopia serve`: the server. Everything it does is in `agentopia_control_plane`; here are the
//! configuration, the log and the signals.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use agentopia_control_plane::config::{Config, LogFormat};
use agentopia_control_plane::log_out::LogOut;
use agentopia_domain::Ambient;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Start the server: the API, the agents' MCP endpoints and the web pages.
///
/// Everything has a default: it keeps its data below ~/.local/state/agentopia and answers at
/// http://127.0.0.1:8080. When nobody can sign in yet it prints a one-time set-up token; make the
/// first admin with `agentopia setup`. SIGTERM or Ctrl-C ends it after what is under way is done; a
/// second one ends it at once.
///
/// Settings come from a TOML file and from environment variables, which win, for example
/// AGENTOPIA_BIND, AGENTOPIA_DATA_DIR, AGENTOPIA_PUBLIC_URL and DATABASE_URL. AGENTOPIA_LOG says
/// what is logged, for example `info` or `agentopia_gateway=debug,warn`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia serve
  AGENTOPIA_BIND=127.0.0.1:9000 agentopia serve
  agentopia serve --config /etc/agentopia/agentopia.toml")]
pub(crate) struct Args {
    /// The configuration file; AGENTOPIA_CONFIG, ~/.config/agentopia/agentopia.toml or
    /// /etc/agentopia/agentopia.toml unless given.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let config =
        Config::load(args.config.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
    start_log(config.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(error, "the server could not be started"))?;
    let result = runtime.block_on(serve(config));
    // Everything that has to end well has; blocking work that hangs must not keep us.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::other(error, "signals can't be heard"));
    let mut signals = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let shutdown = CancellationToken::new();
    let server = agentopia_control_plane::serve::run(config, Ambient::system(), shutdown.clone());
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return result.map_err(Failure::Other),
        name = first(&mut signals) => tracing::info!(signal = name, "shutting down"),
    }
    shutdown.cancel();
    tokio::select! {
        result = &mut server => result.map_err(Failure::Other),
        name = first(&mut signals) => {
            tracing::warn!(signal = name, "told a second time: ending at once");
            Err(Failure::Interrupted)
        }
    }
}

async fn first(signals: &mut (Signal, Signal)) -> &'static str {
    tokio::select! {
        _ = signals.0.recv() => "SIGTERM",
        _ = signals.1.recv() => "SIGINT",
    }
}

/// The log goes to standard error: standard output belongs to results.
fn start_log(format: LogFormat) -> Result<(), Failure> {
    let wanted = std::env::var("AGENTOPIA_LOG")
        .or_else(|_| std::env::var("RUST_LOG"))
        .ok()
        .filter(|text| !text.trim().is_empty())
        // PostgreSQL notes at each start that tables exist. The MCP client library tells of every call at `info`, with what the server said of itself.
        .unwrap_or_else(|| "info,rmcp=off,sea_orm_migration=warn,sqlx::postgres::notice=warn".to_owned());
    let filter = EnvFilter::try_new(wanted)
        .map_err(|error| Failure::Usage(format!("AGENTOPIA_LOG: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(LogOut::default);
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started
        .map_err(|error| Failure::Other(anyhow::anyhow!("the log could not be started: {error}")))
}
