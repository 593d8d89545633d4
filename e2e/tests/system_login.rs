//! A login at a server that runs elsewhere and wants OAuth (AGT-7), by the command line as its owner uses it:
//! the server is another control plane with its own authorization server, the browser is the test.

use std::time::Duration;

use agentopia_api::grant::Grant;
use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::name::Name;
use agentopia_e2e::browser::Browser;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::{Cluster, wait_for};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

/// For the command line to say something, and to end.
const LIMIT: Duration = Duration::from_secs(60);
const EMAIL: &str = "admin@example.com";

async fn cluster() -> anyhow::Result<Cluster> {
    let builder = Cluster::local().set("AGENTOPIA_REMOTE_ALLOW", "127.0.0.1/32");
    builder.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_remote_tool_logs_in_and_out_by_the_command_line() -> anyhow::Result<()> {
    let far = cluster().await?;
    let echo = far.deploy("echo").await?;
    let theirs = far.agent_with("for others", &[echo.id]).await?;

    let here = cluster().await?;
    let mut request = deployment("remote");
    request.name = Some(Name::parse("far")?);
    request.url = Some(theirs.record.mcp_url.clone());
    let tool: agentopia_api::instance::Instance =
        here.admin.post("/api/v1/instances", &request).await?;
    here.admin
        .wait_status(tool.id, InstanceStatus::ErrorRuntime, LIMIT)
        .await?;
    let agent = here.agent_with("helper", &[tool.id]).await?;
    // An agent that calls what it once heard of learns what is the matter, and not that there is no
    // such tool.
    let refused = agent.call("echo", json!({"text": "before"})).await;
    let told = refused.err().context("it was let in")?.to_string();
    assert!(told.contains("agentopia tools login far"), "{told}");

    let cli = here.cli()?;
    let shown = cli.run(&["tools", "show", "far"]).await?;
    assert!(
        shown.stdout.contains("agentopia tools login far"),
        "{shown:?}"
    );
    let mut login = cli.start(&["tools", "login", "far"])?;
    let stderr = login.stderr.take().context("no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut said = Vec::new();
    let address = loop {
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await;
        let line = line.with_context(|| format!("no address: {said:?}"))??;
        let line = line.with_context(|| format!("it ended: {said:?}"))?;
        let line = line.trim().to_owned();
        if line.starts_with("http") {
            break line;
        }
        said.push(line);
    };
    assert!(said.concat().contains("Open this address"), "{said:?}");
    assert!(address.starts_with(here.admin.base_url()), "{address}");

    let end = Browser::new()?.log_in(&address, EMAIL).await?;
    assert!(end.text.contains("is logged in"), "{}", end.text);
    let mut stdout = login.stdout.take().context("no standard output")?;
    let ended = tokio::time::timeout(LIMIT, login.wait()).await;
    let ended = ended.context("the command waits on")??;
    let mut done = String::new();
    stdout.read_to_string(&mut done).await?;
    assert!(ended.success(), "{ended}: {done}");
    assert!(done.contains("far") && done.contains("running"), "{done}");

    // It is used with the login: by hand, and by an agent.
    let call = ["tools", "call", "far", "echo", "--arg", "text=by hand"];
    let called = cli.run(&call).await?;
    assert!(
        called.code == 0 && called.stdout.contains("by hand"),
        "{called:?}"
    );
    let answer = agent.call("echo", json!({"text": "as the agent"})).await?;
    assert_eq!(answer.text(), "as the agent");
    let path = format!("/api/v1/agents/{}/grants", theirs.id());
    let grants: Vec<Grant> = far.admin.list(&path).await?;
    assert_eq!(grants.len(), 1, "{grants:?}");

    let out: Value = cli.json(&["tools", "logout", "far"]).await?;
    assert_eq!(out["name"], "far", "{out}");
    let refused = agent.call("echo", json!({"text": "after"})).await;
    let told = refused.err().context("it was let in")?.to_string();
    assert!(told.contains("log in"), "{told}");
    let called = cli.run(&call).await?;
    assert_ne!(called.code, 0, "{called:?}");
    wait_for(LIMIT, "the login to be over there too", async || {
        let grants: Vec<Grant> = far.admin.list(&path).await?;
        anyhow::ensure!(grants.is_empty(), "{grants:?}");
        Ok(())
    })
    .await?;
    here.finish().await?;
    far.finish().await
}
