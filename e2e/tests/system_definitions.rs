//! A server that says something else of its tools than before is told of, and held back where its owner wants that
//! (TOOL-10).

use std::time::Duration;

use agentopia_api::definition::ToolDefinitions;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::{Cluster, Runtime, wait_for};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_are_described_otherwise_are_told_and_held_back_until_accepted()
-> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Process).start().await?;
    let admin = &cluster.admin;
    admin.enable().await?;
    EchoEntry::fault("other-words").add(admin).await?;
    let tool = cluster.deploy("echo-other-words").await?;
    let agent = cluster.agent_with("Helper", &[tool.id]).await?;
    let session = agent.session().await?;
    let all = ["echo", "env", "add", "headers", "sleep_ms"];
    assert_eq!(session.tools().await?, all);
    let path = format!("/api/v1/instances/{}/definitions", tool.id);
    let known = wait_for(SOON, "the tools to be written down", async || {
        let known: ToolDefinitions = admin.get(&path).await?;
        Ok(known)
    })
    .await?;
    assert_eq!(known.accepted.len(), 5);
    assert!(!known.hold && known.changes.is_empty());
    let cli = cluster.cli()?;
    let name = tool.name.as_str();
    let held: ToolDefinitions = cli
        .json(&["tools", "definitions", name, "--hold", "true"])
        .await?;
    assert!(held.hold);

    // The server changes its mind while it runs.
    session.call("add", json!({"a": 1, "b": 2})).await?;
    assert_eq!(
        session.tools().await?,
        ["env", "add", "headers", "sleep_ms"]
    );
    let refused = session.call("echo", json!({"text": "x"})).await;
    assert!(
        refused.as_ref().map_or(true, |answer| answer.is_error()),
        "{refused:?}"
    );
    let changed = wait_for(SOON, "the change to be written down", async || {
        let known: ToolDefinitions = admin.get(&path).await?;
        anyhow::ensure!(!known.changes.is_empty());
        Ok(known.changes)
    })
    .await?;
    assert_eq!(changed.words(), "new: more; changed: echo (description)");
    let told = admin.timeline(tool.id.as_uuid()).await?;
    let told = told.iter().find(|it| it.kind == "instance.tools_changed");
    assert!(told.is_some_and(|it| it.message.contains("changed: echo (description)")));

    let accepted: ToolDefinitions = cli.json(&["tools", "accept", name]).await?;
    assert!(accepted.changes.is_empty());
    assert_eq!(
        session.tools().await?,
        ["echo", "env", "add", "headers", "sleep_ms", "more"]
    );
    let answer = session.call("echo", json!({"text": "accepted"})).await?;
    assert_eq!(answer.text(), "accepted");
    cluster.finish().await
}
