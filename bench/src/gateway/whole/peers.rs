//! Others that stand before a stdio server: `mcp-proxy` of npm and of PyPI, which `script/bench-peers` installs.
//! And the same server over HTTP, for nginx to stand before.

use std::env;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use agentopia_test_support::binaries;
use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::super::nginx::free_port;
use super::super::role::Part;
use super::bare::SERVER;

/// Until one listens: Python takes a while.
const START: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// The server by itself, over HTTP.
pub(super) async fn over_http() -> anyhow::Result<Part> {
    let port = free_port()?;
    let mut command = Command::new(binaries::static_build(SERVER)?);
    command.args(["--http", &format!("127.0.0.1:{port}")]);
    start(command, port).await
}

/// npm's `mcp-proxy` before the server; `None` where it is not installed.
pub(super) async fn npm() -> anyhow::Result<Option<Part>> {
    let (Some(node), Some(program)) = (
        env::var_os("AGENTOPIA_BENCH_NODE"),
        env::var_os("AGENTOPIA_BENCH_NPM_PROXY"),
    ) else {
        return Ok(None);
    };
    let port = free_port()?;
    let mut command = Command::new(node);
    command
        .arg(program)
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--server",
            "stream",
            "--",
        ])
        .arg(binaries::static_build(SERVER)?);
    start(command, port).await.map(Some)
}

/// The one of PyPI.
pub(super) async fn pypi() -> anyhow::Result<Option<Part>> {
    let Some(program) = env::var_os("AGENTOPIA_BENCH_PYPI_PROXY") else {
        return Ok(None);
    };
    let port = free_port()?;
    let mut command = Command::new(Path::new(&program));
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--"])
        .arg(binaries::static_build(SERVER)?);
    start(command, port).await.map(Some)
}

async fn start(mut command: Command, port: u16) -> anyhow::Result<Part> {
    let program = command.as_std().get_program().to_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} can't be started", program.display()))?;
    let part = Part::of(child, format!("http://127.0.0.1:{port}/mcp"), None);
    let listening = async {
        while TcpStream::connect(part.place.authority()).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let listens = tokio::time::timeout(START, listening).await;
    listens.with_context(|| format!("{} does not listen", program.display()))?;
    Ok(part)
}
