//! The program `agentopia`: the server (`agentopia serve`) and the command line that talks to it.
//!
//! Nothing is decided here: arguments are read by [`cli`], each command is a file under
//! [`command`], [`client`] talks to the server, [`failure`] knows how every error looks and which
//! exit status it has.

mod app;
mod cli;
mod client;
mod command;
mod context;
mod failure;
mod input;
mod output;
mod progress;
mod report;
mod resolve;
mod values;
mod wait;

use std::process::ExitCode;

/// A call through the gateway allocates dozens of times, on one thread, and lets go on another. The DTMA
/// has the C library's instead: it is to be small first.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One TLS provider for the whole process; it can only be installed once, here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::parse(std::env::args_os()) {
        cli::Parsed::Run(cli) => cli.execute(),
        cli::Parsed::Said(code) => code,
    }
}
