//! Programs of the host: disks and addresses have no better interface.

use std::process::Stdio;

use tokio::process::Command;

use super::error::HostError;

/// Runs a program to its end. Nothing is a shell's business here.
///
/// # Errors
/// With what it said, when it fails or can't be started.
pub(super) async fn run(program: &str, arguments: &[&str]) -> Result<(), HostError> {
    let failed = |said: String| HostError::Command {
        command: [&[program], arguments].concat().join(" "),
        said,
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(if said.is_empty() {
        output.status.to_string()
    } else {
        said
    }))
}
