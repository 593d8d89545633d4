//! The Docker Engine that `script/services` started: killed, and started again by that script.

use std::path::PathBuf;

use agentopia_test_support::binaries;
use agentopia_test_support::process::Process;
use anyhow::Context as _;
use tokio::process::Command;

/// `kill -9`, as an engine that crashes; then `script/services up docker`, as an operator would.
///
/// # Errors
/// When the engine is not one that `script/services` started: then it is not ours to kill. When it
/// does not come back.
pub async fn kill_and_start() -> anyhow::Result<()> {
    let engine = ours()?.context(
        "the Docker Engine of this machine was not started by script/services, so a test must not \
         kill it: stop it and run `script/test system`, which starts one",
    )?;
    engine.kill();
    let up = Command::new(script())
        .args(["up", "docker"])
        .output()
        .await?;
    anyhow::ensure!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );
    Ok(())
}

fn script() -> PathBuf {
    let root = std::env::var_os("AGENTOPIA_ROOT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
        PathBuf::from,
    );
    root.join("script/services")
}

fn ours() -> anyhow::Result<Option<Process>> {
    let pid_file = binaries::cache()?.join("services/dockerd.pid");
    let Ok(text) = std::fs::read_to_string(pid_file) else {
        return Ok(None);
    };
    let process = text.trim().parse().ok().and_then(Process::of);
    Ok(process.filter(|process| process.command_line().contains("dockerd")))
}
