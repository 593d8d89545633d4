//! Measures the whole product with real processes: what `script/bench` runs after it has built
//! everything with the shipping profile and started the engine and the registry.
//!
//! Each bench is a file of its own that returns [`report::Record`]s: [`deploy`], [`footprint`], [`restart`],
//! and in [`gateway`] all that compares the gateway with others. What they compare runs in turn, and medians are
//! reported. They use the clusters of the system tests (`agentopia-test-support`), so nothing is left behind and
//! nothing is mocked.

mod client;
mod deploy;
mod footprint;
mod gateway;
mod measure;
mod raw;
mod report;
mod restart;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// That of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the product and says which targets are met.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything unless given.
    #[arg(value_enum)]
    names: Vec<Bench>,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// The network, made before, that `deploy` gives to raw `docker run`: its own default.
    #[arg(long, default_value = raw::DEFAULT_NETWORK)]
    raw_network: String,
    /// Where `deploy` leaves what the product logged: with RUST_LOG=debug it says where time goes.
    #[arg(long, value_name = "FILE")]
    logs: Option<PathBuf>,
    /// For `gateway`, `path` and `stdio`: only the kinds of load whose name has this in it, such as "session, 256 B, c=16".
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Be one of the processes that `gateway` compares.
    #[arg(long, value_enum, hide = true)]
    role: Option<gateway::Role>,
    /// What that process stands before.
    #[arg(long, hide = true)]
    upstream: Option<String>,
}

/// The benches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// From `tools deploy` to the first answered tool call, against raw `docker run`.
    Deploy,
    /// Memory of the idle parts.
    Footprint,
    /// Throughput, latency and processor time of the gateway, beside plain proxies.
    Gateway,
    /// Memory of the gateway after a hundred thousand calls and after a million.
    Growth,
    /// Lists and memory of the gateway with a hundred agents that have twenty servers each.
    Many,
    /// Throughput and latency of the whole path to a server in a container, beside nginx before it.
    Path,
    /// From the start of a killed control plane to the first answered tool call.
    Restart,
    /// Memory of the gateway for idle sessions and open streams.
    Sessions,
    /// Throughput of a stdio server behind the product, beside its bare pipe and other proxies.
    Stdio,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // The same number everywhere, so that results of machines can be compared.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(role) = arguments.role {
        gateway::be(role, arguments.upstream.as_deref()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let names = match arguments.names.as_slice() {
        [] => Bench::value_variants(),
        names => names,
    };
    let mut output = report::Output::new(arguments.json);
    for name in names {
        let records = match name {
            Bench::Deploy => {
                let logs = arguments.logs.as_deref();
                deploy::run(arguments.repeats, &arguments.raw_network, logs).await?
            }
            Bench::Footprint => footprint::run().await?,
            Bench::Gateway => gateway::run(arguments.repeats, &arguments.only).await?,
            Bench::Growth => gateway::growth::run().await?,
            Bench::Many => gateway::many::run().await?,
            Bench::Path => gateway::whole::path::run(arguments.repeats, &arguments.only).await?,
            Bench::Restart => restart::run(arguments.repeats).await?,
            Bench::Stdio => gateway::whole::stdio::run(arguments.repeats, &arguments.only).await?,
            Bench::Sessions => gateway::sessions::run().await?,
        };
        output.add(records)?;
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}
