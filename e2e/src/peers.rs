//! Runs the small programs in `peers/`: each uses one official MCP client, does what it is told on
//! one endpoint, and prints what came of it as one JSON object.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agentopia_test_support::binaries::from_scripts;
use anyhow::Context as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Python takes seconds to its first word.
const LIMIT: Duration = Duration::from_secs(90);

/// An official MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// `mcp` from PyPI: negotiates the era by itself.
    Python,
    /// `@modelcontextprotocol/client`: negotiates the era by itself.
    Client,
    /// `@modelcontextprotocol/sdk`: the session era.
    Sdk,
    /// The same over HTTP+SSE, the transport of 2024-11-05.
    SdkSse,
    /// The same by stdio through `mcp-remote`, as clients do that know nothing else.
    Remote,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Python,
        Self::Client,
        Self::Sdk,
        Self::SdkSse,
        Self::Remote,
    ];

    /// What it says of how it talked.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Python | Self::Client => "2026-07-28",
            Self::Sdk => "2025-11-25",
            Self::SdkSse => "HTTP+SSE",
            Self::Remote => "mcp-remote",
        }
    }

    /// The address that it uses of the endpoint with this URL.
    fn address(self, url: &str) -> String {
        match self {
            Self::Python | Self::Client | Self::Sdk | Self::Remote => url.to_owned(),
            Self::SdkSse => format!("{}/sse", url.strip_suffix("/mcp").unwrap_or(url)),
        }
    }

    fn command(self) -> anyhow::Result<Command> {
        let dir = root().join("e2e/peers");
        let (program, script) = match self {
            Self::Python => (from_scripts("AGENTOPIA_TEST_PYTHON")?, "python_client.py"),
            Self::Client => (from_scripts("AGENTOPIA_TEST_NODE")?, "node_client.mjs"),
            Self::Sdk => (from_scripts("AGENTOPIA_TEST_NODE")?, "node_sdk.mjs"),
            Self::SdkSse => (from_scripts("AGENTOPIA_TEST_NODE")?, "node_sdk_sse.mjs"),
            Self::Remote => (from_scripts("AGENTOPIA_TEST_NODE")?, "node_remote.mjs"),
        };
        let mut command = Command::new(program);
        command.arg(dir.join(script));
        if self != Self::Python {
            command.env("NODE_MODULES", from_scripts("AGENTOPIA_TEST_NODE_MODULES")?);
        }
        Ok(command)
    }

    /// Lists everything at `url` and makes `calls` (`[{"tool", "arguments"}]`). Gives
    /// `{"server", "tools": [names], "resources", "prompts", "results": [..]}`. The token goes by
    /// standard input, not by an argument.
    ///
    /// # Errors
    /// When the client fails; with what it said.
    pub async fn run(self, url: &str, token: &str, calls: &Value) -> anyhow::Result<Value> {
        let mut child = self
            .command()?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{self:?} can't be started: run `script/test mcp`"))?;
        let url = self.address(url);
        let job = serde_json::json!({"url": url, "token": token, "calls": calls});
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(job.to_string().as_bytes()).await?;
        drop(stdin);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .with_context(|| format!("{self:?} does not end"))??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::ensure!(
            output.status.success(),
            "{self:?} failed ({}): {said}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(said.trim()).with_context(|| format!("{self:?} said: {said}"))
    }
}

/// The clone: where cargo built this, unless `AGENTOPIA_ROOT` says otherwise.
#[must_use]
pub fn root() -> PathBuf {
    std::env::var_os("AGENTOPIA_ROOT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        PathBuf::from,
    )
}
