//! `agentopia-echo`: a small MCP server, static, without an async runtime, for examples and tests.
//!
//! Speaks every revision of the protocol, over stdio (default) or Streamable HTTP (`--http ADDR`).
//! Configuration: `GREETING` (what `greet` and `echo://greeting` say). Secret: `ECHO_SECRET`
//! (optional; the tool `env` proves that it arrived without showing it).
//!
//! * [`args`]: the command line. [`fault`]: being a bad server on purpose.
//! * [`rpc`]: messages. [`era`]: which revision a message is of, and what that asks of the answer.
//! * [`server`]: methods. [`tools`], [`content`]: what the server offers. [`cancel`]: running calls.
//! * [`stdio`], [`http`]: transports.

mod args;
mod cancel;
mod content;
mod era;
mod fault;
mod http;
mod rpc;
mod server;
mod stdio;
mod tools;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use args::Transport;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            log(&format!("{problem}\n{}", args::USAGE));
            return ExitCode::from(2);
        }
    };
    if let Some(fault) = args.fault
        && let Some(code) = fault::at_start(fault)
    {
        return code;
    }
    let server = Arc::new(server::Server::from_environment());
    let result = match args.transport {
        Transport::Stdio => {
            log("ready on stdio");
            stdio::serve(&server, args.fault)
        }
        Transport::Http(address) => http::serve(&server, address),
    };
    if let Some(fault) = args.fault {
        fault::at_end(fault);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on standard error. Not `eprintln!`, which panics when nobody reads.
fn log(line: &str) {
    let _ = std::io::stderr().write_all(format!("agentopia-echo: {line}\n").as_bytes());
}
