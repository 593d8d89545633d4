//! A tool that nobody uses is stopped, and the next call starts it (TOOL-9): with a real container, real
//! clients of both eras, and a control plane that is restarted meanwhile.

use std::time::Duration;

use agentopia_api::discovery::Discovery;
use agentopia_domain::InstanceId;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::{Cluster, Runtime, TestAgent, docker, wait_for};
use serde_json::json;

/// The shortest that an operator can allow.
const IDLE: &str = "3";
const LIMIT: Duration = Duration::from_secs(60);

/// Whether a process runs in the instance's container.
async fn runs(id: InstanceId) -> anyhow::Result<bool> {
    let found = docker::with_label("container", docker::INSTANCE, &id.to_string()).await?;
    for container in found {
        let container = docker::inspect("container", &container).await?;
        if container["State"]["Running"] == json!(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names of the tools that discovery tells of.
async fn discovered(agent: &TestAgent) -> anyhow::Result<Vec<String>> {
    let path = format!("/api/v1/agents/{}/discovery", agent.id());
    let found: Discovery = agent.owner.get(&path).await?;
    let [server] = found.servers.as_slice() else {
        anyhow::bail!("not one server: {found:?}");
    };
    anyhow::ensure!(server.error.is_none(), "{found:?}");
    Ok(server.tools.iter().map(|tool| tool.name.clone()).collect())
}

async fn asleep(cluster: &Cluster, id: InstanceId) -> anyhow::Result<()> {
    let asleep = cluster
        .admin
        .wait_status(id, InstanceStatus::Asleep, LIMIT)
        .await?;
    assert!(asleep.asleep_since.is_some());
    // Its machine hears of it after some seconds of grace.
    wait_for(LIMIT, "its container to be stopped", async || {
        anyhow::ensure!(!runs(id).await?, "it runs");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_nobody_uses_sleeps_and_is_woken_by_a_call() -> anyhow::Result<()> {
    let mut cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .set("AGENTOPIA_SHORTEST_IDLE_SECONDS", IDLE)
        .start()
        .await?;
    let mut request = deployment("echo");
    request.idle = IdleSetting::After { seconds: 3 };
    let id = cluster.deploy_with(request).await?.id;
    let agent = cluster.agent_with("helper", &[id]).await?;
    let session = agent.session().await?;
    let text = json!({"text": "before"});
    assert_eq!(session.call("echo", text).await?.text(), "before");
    let tools = session.tools().await?;
    let known = discovered(&agent).await?;
    assert_eq!(known.len(), tools.len());

    // A call that takes longer than the idle time is use of it, to its end.
    let slow = session.call("sleep_ms", json!({"ms": 9000})).await?;
    assert!(!slow.text().is_empty());
    let statuses = cluster.admin.statuses(id.as_uuid()).await?;
    assert!(!statuses.contains(&"asleep".to_owned()), "{statuses:?}");

    asleep(&cluster, id).await?;
    // A list wakes nobody and lacks nothing; so does what an orchestrator asks for.
    assert_eq!(session.tools().await?, tools);
    assert_eq!(discovered(&agent).await?, known);
    assert_eq!(
        cluster.admin.instance(id).await?.status,
        InstanceStatus::Asleep
    );

    let modern = agent.modern()?;
    let (one, two, by_hand) = tokio::try_join!(
        session.call("echo", json!({"text": "one"})),
        modern.call("echo", json!({"text": "two"})),
        cluster.admin.call(id, "echo", json!({"text": "three"})),
    )?;
    assert_eq!((&*one.text(), &*two.text()), ("one", "two"));
    assert_eq!(by_hand.result["content"][0]["text"], "three");
    assert!(runs(id).await?);
    let events = cluster.admin.timeline(id.as_uuid()).await?;
    let told = |part: &str| {
        let found = events.iter().filter(|event| event.message.contains(part));
        found.count()
    };
    assert_eq!(told("fell asleep after 3 s without a call"), 1);
    assert_eq!(told("woken by a call"), 1, "three calls woke it once");

    // It sleeps on when the control plane is restarted, and the same agent wakes it.
    asleep(&cluster, id).await?;
    cluster.control_plane.stop().await?;
    cluster.control_plane.start().await?;
    assert_eq!(
        cluster.admin.instance(id).await?.status,
        InstanceStatus::Asleep
    );
    // What it offers is not known any more: it is woken for that.
    assert_eq!(discovered(&agent).await?, known);
    let again = agent.modern()?;
    let answer = again.call("echo", json!({"text": "again"})).await?;
    assert_eq!(answer.text(), "again");

    // What its owner stopped is not woken.
    cluster.admin.instance_verb(id, "stop").await?;
    cluster
        .admin
        .wait_status(id, InstanceStatus::Stopped, LIMIT)
        .await?;
    let refused = agent.modern()?.call("echo", json!({"text": "no"})).await;
    let refused = refused.err().map(|error| error.to_string());
    assert!(
        refused
            .as_deref()
            .is_some_and(|text| text.contains("stopped")),
        "{refused:?}"
    );
    assert_eq!(
        cluster.admin.instance(id).await?.status,
        InstanceStatus::Stopped
    );
    cluster.finish().await
}
