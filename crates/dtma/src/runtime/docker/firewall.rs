//! Closes the machine's metadata service to our containers (DTMA-4): user-data and the machine's
//! identity are none of a tool's business.
//!
//! The rule names our own address pool, so other containers of the machine are not touched. It is
//! gone after a reboot, and is set again by every start of the DTMA and every return of the engine.
//!
//! Who may reach a tool's port directly is in [`direct`].

mod direct;

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::subnet;

pub(super) use direct::{admit, shut};

/// Where the cloud's metadata service is.
const METADATA: &str = "169.254.169.254/32";
/// Forwarded traffic passes the chain that the engine leaves to its users; traffic to an address
/// of the machine itself passes INPUT.
const CHAINS: [&str; 2] = ["DOCKER-USER", "INPUT"];

/// Sets the rules where they are missing. Says loudly if that can't be done; tools run on
/// nevertheless, as machines without iptables have no such service as a rule.
pub(super) async fn close_metadata_service() {
    for chain in CHAINS {
        if let Err(error) = ensure(chain).await {
            tracing::warn!(
                chain,
                %error,
                "containers may reach the metadata service of this machine: install iptables, and run the engine with its default iptables=true"
            );
        }
    }
}

async fn ensure(chain: &str) -> Result<(), String> {
    let pool = subnet::POOL.to_string();
    let rule = ["-s", &pool, "-d", METADATA, "-j", "REJECT"];
    if iptables("-C", chain, &rule).await.is_ok() {
        return Ok(());
    }
    iptables("-I", chain, &rule).await
}

async fn iptables(action: &str, chain: &str, rule: &[&str]) -> Result<(), String> {
    // The engine writes rules at the same time: wait for the lock instead of failing.
    let mut command = Command::new("iptables");
    command.args(["-w", "5", action, chain]).args(rule);
    run(command).await.map(drop)
}

/// What the command printed.
pub(super) async fn run(mut command: Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("iptables: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Has `program` (an `iptables-restore`) do everything in `script`, or nothing.
pub(super) async fn restore(program: &str, script: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut child = Command::new(program)
        .args(["-w", "5", "--noflush"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await.map_err(failed)?;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
