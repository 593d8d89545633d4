//! Official MCP clients connect with no token: by their own OAuth flow, with a person's browser
//! played by the test.

use std::process::Stdio;
use std::time::Duration;

use agentopia_api::grant::Grant;
use agentopia_e2e::browser::Browser;
use agentopia_e2e::peers::root;
use agentopia_test_support::binaries::from_scripts;
use agentopia_test_support::{Cluster, TestAgent};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// For one line of a client.
const LIMIT: Duration = Duration::from_secs(60);

/// The package of the Python SDK, among those of Node.
const PYTHON: &str = "python";

/// A client that waits for its person's browser.
struct Editor {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Editor {
    fn start(package: &str, url: &str, calls: &Value) -> anyhow::Result<Self> {
        let mut child = Self::program(package)?
            .args([url, &calls.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("the client can't be started: run `script/test mcp`")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    fn program(package: &str) -> anyhow::Result<Command> {
        let peers = root().join("e2e/peers");
        if package == PYTHON {
            let mut command = Command::new(from_scripts("AGENTOPIA_TEST_PYTHON")?);
            command.arg(peers.join("python_login.py"));
            return Ok(command);
        }
        let mut command = Command::new(from_scripts("AGENTOPIA_TEST_NODE")?);
        command
            .args([peers.join("node_login.mjs").as_os_str(), package.as_ref()])
            .env("NODE_MODULES", from_scripts("AGENTOPIA_TEST_NODE_MODULES")?);
        Ok(command)
    }

    async fn hears(&mut self, line: &str) -> anyhow::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.stdin.flush().await?)
    }

    async fn says(&mut self) -> anyhow::Result<Value> {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        let line = line.context("the client says nothing")??;
        let line = line.context("the client ended")?;
        serde_json::from_str(&line).with_context(|| format!("it said: {line}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn official_clients_connect_by_browser_login_with_no_token() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    for package in ["client", "sdk"] {
        let agent = cluster.agent_with(package, &[echo.id]).await?;
        connects(package, &agent).await.context(package)?;
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_connects_by_browser_login_with_no_token() -> anyhow::Result<()>
{
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with(PYTHON, &[echo.id]).await?;
    connects(PYTHON, &agent).await?;
    cluster.finish().await
}

async fn connects(package: &str, agent: &TestAgent) -> anyhow::Result<()> {
    let calls = json!([{"tool": "add", "arguments": {"a": 1, "b": 2}}]);
    let mut editor = Editor::start(package, &agent.record.mcp_url, &calls)?;
    let open = editor.says().await?;
    let open = open["open"].as_str().context("no address")?;
    let owner: Value = agent.owner.get("/api/v1/session").await?;
    let email = owner["user"]["email"].as_str().context("no e-mail")?;
    let name = format!("agentopia-tests ({package})");
    let shown = [name.as_str(), "echo", email];
    let went = Browser::new()?.allow(open, email, &shown).await?;
    anyhow::ensure!(
        went.starts_with("http://127.0.0.1:7777/callback?"),
        "{went}"
    );
    editor.hears(&went).await?;

    let seen = editor.says().await?;
    anyhow::ensure!(
        // What the SDKs for Node say of it; the one for Python renews by itself and says nothing.
        (package == PYTHON || seen["refreshed"] == "AUTHORIZED") && seen["changed"] == true,
        "{seen}"
    );
    let results = seen["results"].as_array().context("no results")?;
    anyhow::ensure!(results.len() == 2, "before and after the refresh: {seen}");
    for result in results {
        anyhow::ensure!(result["content"][0]["text"] == "3", "{seen}");
    }

    let path = format!("/api/v1/agents/{}/grants", agent.id());
    let grants: Vec<Grant> = agent.owner.list(&path).await?;
    anyhow::ensure!(
        grants.len() == 1 && grants[0].client_name == name,
        "{grants:?}"
    );
    let one = format!("/api/v1/grants/{}", grants[0].id);
    agent.owner.delete(&one).await?;
    editor.hears("taken back").await?;
    let after = editor.says().await?;
    anyhow::ensure!(after["after"] == "refused", "{after}");
    let ended = tokio::time::timeout(LIMIT, editor.child.wait()).await;
    ended.context("it does not end")??;
    Ok(())
}
