//! The program `dtma`: reads the command line, sets up the log, hands over to
//! [`agentopia_dtma::agent`].

use std::path::PathBuf;
use std::process::ExitCode;

use agentopia_domain::Ambient;
use agentopia_dtma::agent::{self, Ending, Started};
use agentopia_dtma::config::{Config, LogFormat};
use agentopia_dtma::update::launcher::{self, Start};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The Droplet Tool Management Agent: runs an Agentopia environment's tools on this machine.
#[derive(Debug, Parser)]
#[command(name = "dtma", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT. Containers go on when this ends.
    Run(ConfigArgument),
    /// Say whether this version can run here, and which it is. Changes nothing.
    Check(ConfigArgument),
    /// Remove every container, network and volume that was made on this machine. It must not run.
    Purge(ConfigArgument),
}

#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// The configuration file. AGENTOPIA_DTMA_<FIELD> variables override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (Command::Run(argument) | Command::Check(argument) | Command::Purge(argument)) =
        &arguments.command;
    let config = match Config::load(argument.config.as_deref()) {
        Ok(config) => config,
        Err(problem) => return fail(&problem),
    };
    set_up_log(config.log_format);
    let outcome = match arguments.command {
        Command::Run(argument) => run(config, argument.config),
        Command::Check(_) => check(&config),
        Command::Purge(_) => purge(config),
    };
    outcome.unwrap_or_else(|error| fail(&format!("{error:#}")))
}

/// Runs the version that is in charge, which may be another program.
fn run(config: Config, config_file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let ambient = Ambient::system();
    let own = match launcher::start(&config, &ambient)? {
        Start::Here(own) => own,
        Start::End(code) => return Ok(code),
    };
    let started = Started {
        own: &own,
        config_file,
    };
    let ending = threads()?
        .block_on(async { agent::run(config, started, ambient, shutdown_signal()?).await })?;
    Ok(match ending {
        Ending::Asked => ExitCode::SUCCESS,
        Ending::Update => own.again(),
    })
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn check(config: &Config) -> anyhow::Result<ExitCode> {
    println!("{}", agent::check(config)?);
    Ok(ExitCode::SUCCESS)
}

fn purge(config: Config) -> anyhow::Result<ExitCode> {
    threads()?.block_on(agent::purge(config, Ambient::system()))?;
    Ok(ExitCode::SUCCESS)
}

/// Two threads serve a machine of any size that tools of ours run on: most of the work is the
/// kernel's. Each thread costs memory, of which small machines have little.
fn threads() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .context("threads can't be started")
}

/// Cancelled by SIGTERM or SIGINT; a second one ends the process at once.
fn shutdown_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if cancelled.is_cancelled() {
                tracing::warn!("ending at once: asked twice");
                std::process::abort();
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}

fn set_up_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,hyper=warn,rustls=warn,reqwest=warn,rmcp=off"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the reason to end goes to whoever started us"
)]
fn fail(problem: &str) -> ExitCode {
    eprintln!("dtma: {problem}");
    ExitCode::FAILURE
}
