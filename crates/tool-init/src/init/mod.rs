//! What runs as PID 1 of a tool container (or, for the `process` runtime, as an ordinary process).
//!
//! One thread, one `poll` loop (`supervisor`), no file touched but `/dev/null` and `/proc`.
//! * `args`: the command line.
//! * `link`: the connection to the host: connecting, HELLO, queue, connecting again.
//! * `launch`: from a SPAWN to a process.
//! * `supervisor`: the loop: frames, signals, dead children, shutdown.

mod args;
mod launch;
mod link;
mod supervisor;

use std::ffi::OsString;
use std::io::Write;

use crate::protocol::EXIT_VERSION;

/// Runs until shutdown and gives the exit code ([`crate::protocol`] lists them).
pub fn run(args: impl Iterator<Item = OsString>) -> u8 {
    let config = match args::parse(args) {
        Ok(config) => config,
        Err(problem) => {
            log(problem);
            log("usage: tool-init [--socket PATH] [--wait-ms N] [--grace-ms N] -- [PROGRAM ARG…]");
            return EXIT_VERSION;
        }
    };
    match supervisor::Supervisor::new(config) {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            log(&format!("cannot be set up: {error}"));
            EXIT_VERSION
        }
    }
}

/// A line on standard error, which Docker keeps as the container's log. Not `eprintln!`, which
/// panics when nobody reads.
fn log(line: &str) {
    let _ = std::io::stderr().write_all(format!("tool-init: {line}\n").as_bytes());
}
