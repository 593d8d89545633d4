//! `agentopia-reference`: an MCP server on the official SDK, for the official conformance suite.
//!
//! A gateway can only be shown to conform with a server behind it that does. This one offers what the
//! suite's scenarios for servers call for, by the names that they ask for, in both eras of the
//! protocol: with sessions (up to 2025-11-25) and without (2026-07-28). `script/conformance` runs the
//! suite. It has nothing to hide and nothing to keep, so it can be deployed as any other server.
//!
//! * [`server`]: what the server says of itself, and where each request goes.
//! * [`tools`], [`resources`], [`prompts`], [`completion`]: what it offers.
//! * [`round_trips`]: asking the client before answering, in the era without sessions.
//! * [`http`]: the transport. [`samples`]: the smallest picture and sound.

mod completion;
mod http;
mod prompts;
mod resources;
mod round_trips;
mod samples;
mod server;
mod tools;

use std::net::SocketAddr;

use clap::Parser;
use rmcp::ServiceExt as _;
use tracing_subscriber::EnvFilter;

use crate::server::{Reference, Shared};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "agentopia-reference", about, version)]
struct Args {
    /// Where to listen for Streamable HTTP; the endpoint is /mcp
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// A name that clients may reach the server by, with or without a port; give it again for more
    /// names, or separate them by commas
    #[arg(
        long = "allowed-host",
        value_name = "HOST",
        env = "ALLOWED_HOSTS",
        value_delimiter = ',',
        default_values = ["localhost", "127.0.0.1", "[::1]"],
        hide_env_values = true
    )]
    allowed_hosts: Vec<String>,
    /// Speak over standard input and output instead
    #[arg(long, conflicts_with_all = ["listen", "allowed_hosts"])]
    stdio: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Standard output belongs to the protocol.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .init();
    let args = Args::parse();
    let shared = Shared::new();
    if args.stdio {
        let server = Reference::new(shared).serve(rmcp::transport::stdio());
        server.await?.waiting().await?;
        return Ok(());
    }
    http::serve(shared, args.listen, args.allowed_hosts).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_ask_unless_told_otherwise() {
        let args = Args::parse_from(["agentopia-reference"]);
        assert_eq!(args.allowed_hosts, ["localhost", "127.0.0.1", "[::1]"]);
        let args = Args::parse_from(["agentopia-reference", "--allowed-host", "a,b:80"]);
        assert_eq!(args.allowed_hosts, ["a", "b:80"]);
    }
}
