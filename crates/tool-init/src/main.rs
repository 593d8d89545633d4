//! The binary: PID 1 of a tool container. All of it is in [`tool_init::init`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(tool_init::init::run(std::env::args_os().skip(1)))
}
