//! Agents' calls by way of two replicas of the control plane on one PostgreSQL (OPS-4): tools that sleep
//! (TOOL-9), and secrets that links carry (AGT-6). What one replica does or hears counts at the other.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::InstanceStatus;
use agentopia_e2e::steps;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::control_plane::ControlPlane;
use agentopia_test_support::mcp::SessionClient;
use agentopia_test_support::{Cluster, Database, TestAgent, wait_for};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The shortest that an operator can allow, in seconds.
const IDLE: u32 = 3;
/// Longer than the idle time, so that a tool falls asleep under it unless something prevents that.
const LONG_MS: u32 = 9000;
const LIMIT: Duration = Duration::from_secs(60);
/// What is changed at one replica counts at the other within this.
const SOON: Duration = Duration::from_secs(10);

/// Two replicas, both up.
async fn two(idle: u32) -> anyhow::Result<(Cluster, ControlPlane)> {
    let mut cluster = Cluster::local()
        .database(Database::Postgres)
        .set("AGENTOPIA_SHORTEST_IDLE_SECONDS", &idle.to_string())
        .start()
        .await?;
    let mut second = cluster.replica()?;
    second.start().await?;
    Ok((cluster, second))
}

/// The same agent by way of another replica, once that knows it.
async fn at(agent: &TestAgent, replica: &ControlPlane) -> anyhow::Result<TestAgent> {
    let mut elsewhere = agent.clone();
    elsewhere.owner = agent.owner.at(replica.base_url());
    wait_for(SOON, "the other replica to know the agent", async || {
        anyhow::ensure!(!elsewhere.tools().await?.is_empty(), "no tools");
        Ok(())
    })
    .await?;
    Ok(elsewhere)
}

async fn echoes(agent: &TestAgent, text: &str) -> anyhow::Result<()> {
    let said = agent.call("echo", json!({ "text": text })).await?.text();
    anyhow::ensure!(said == text, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_sleeps_when_nobody_calls_at_either_replica_and_is_woken_at_either()
-> anyhow::Result<()> {
    let (cluster, mut second) = two(IDLE).await?;
    let mut request = deployment("echo");
    request.idle = IdleSetting::After { seconds: IDLE };
    let id = cluster.deploy_with(request).await?.id;
    let here = cluster.agent_with("helper", &[id]).await?;
    let there = at(&here, &second).await?;
    let asleep = async || {
        let slept = cluster.admin.wait_status(id, InstanceStatus::Asleep, LIMIT);
        slept.await?;
        // Its machine hears of it after some seconds of grace, in which a call just finds it running.
        wait_for(LIMIT, "its process to be stopped", async || {
            anyhow::ensure!(steps::tool(&cluster, id).await.is_empty(), "it runs");
            Ok(())
        })
        .await
    };
    let count = async |part: &str| {
        let events = cluster.admin.timeline(id.as_uuid()).await?;
        let found = events.iter().filter(|event| event.message.contains(part));
        anyhow::Ok(found.count())
    };

    // Whichever of the two decides who sleeps: a call at the other one is use of the tool, to its end.
    for agent in [&here, &there] {
        echoes(agent, "it is awake").await?;
        let before = count("fell asleep").await?;
        let said = agent.call("sleep_ms", json!({ "ms": LONG_MS })).await?;
        anyhow::ensure!(!said.text().is_empty(), "{said:?}");
        anyhow::ensure!(
            count("fell asleep").await? == before,
            "asleep under a call by way of {}",
            agent.owner.base_url()
        );
    }
    // So are many short ones, now at the one and now at the other.
    echoes(&here, "it is awake").await?;
    let before = count("fell asleep").await?;
    for number in 0..8 {
        let agent = if number % 2 == 0 { &there } else { &here };
        echoes(agent, "short").await?;
        // A pause that is none: shorter than what it takes to fall asleep.
        tokio::time::sleep(Duration::from_secs(u64::from(IDLE) / 3)).await;
    }
    anyhow::ensure!(
        count("fell asleep").await? == before,
        "asleep between calls"
    );

    // Whoever put it to sleep, the other one wakes it, too.
    for agent in [&here, &there] {
        asleep().await?;
        let before = count("woken by a call").await?;
        echoes(agent, "woken").await?;
        assert_eq!(count("woken by a call").await?, before + 1);
    }
    // Both at once: one start answers all of them.
    asleep().await?;
    let before = count("woken by a call").await?;
    tokio::try_join!(
        echoes(&here, "one"),
        echoes(&there, "two"),
        echoes(&here, "three"),
        echoes(&there, "four"),
    )?;
    assert_eq!(count("woken by a call").await?, before + 1);

    // The one that is left when the other dies does both.
    second.kill()?;
    asleep().await?;
    echoes(&here, "alone").await?;
    second.start().await?;
    asleep().await?;
    echoes(&there, "again").await?;
    second.stop().await?;
    cluster.finish().await
}

const NAME: &str = "ECHO_SECRET";
const THEIRS: &str = "of-the-instance";

/// What the server sees: the digest of a secret.
async fn sees(session: &SessionClient) -> anyhow::Result<String> {
    let said = session.call("env", json!({ "name": NAME })).await?;
    Ok(said.text())
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

async fn soon_sees(session: &SessionClient, old: &str, new: &str) -> anyhow::Result<()> {
    let (old, new) = (digest(old), digest(new));
    wait_for(SOON, "the new value to be seen", async || {
        let seen = sees(session).await?;
        // Nobody else's in between, whatever happens.
        assert!(seen == old || seen == new, "another's secret: {seen}");
        anyhow::ensure!(seen == new, "still the old one");
        Ok(())
    })
    .await?;
    for _ in 0..5 {
        assert_eq!(sees(session).await?, new, "it went back");
    }
    Ok(())
}

/// An agent whose link carries `secret`, with a session at each replica.
async fn carrying(
    cluster: &Cluster,
    second: &ControlPlane,
    instance: InstanceId,
    secret: &str,
) -> anyhow::Result<(TestAgent, [SessionClient; 2])> {
    let agent = cluster.agent_with(secret, &[]).await?;
    agent.link_with(instance, &[(NAME, secret)]).await?;
    let there = at(&agent, second).await?;
    let sessions = [agent.session().await?, there.session().await?];
    for session in &sessions {
        assert_eq!(sees(session).await?, digest(secret));
    }
    Ok((agent, sessions))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_links_own_secret_that_is_changed_at_one_replica_counts_at_the_other()
-> anyhow::Result<()> {
    let (cluster, mut second) = two(IDLE).await?;
    let here = cluster.admin.clone();
    let there = here.at(second.base_url());
    // Each has its name as its value at first.
    for name in [THEIRS, "one", "two"] {
        here.put_secret(name, name).await?;
    }
    let mut request = deployment("echo");
    request.secrets.insert(NAME.into(), THEIRS.into());
    let id = cluster.deploy_with(request).await?.id;
    let (first, one) = carrying(&cluster, &second, id, "one").await?;
    let (_, two) = carrying(&cluster, &second, id, "two").await?;

    // A new value at one: sessions that are open at the other see it, and nobody else does.
    here.put_secret("one", "next").await?;
    for session in &one {
        soon_sees(session, "one", "next").await?;
    }
    there.put_secret("one", "last").await?;
    for session in &one {
        soon_sees(session, "next", "last").await?;
    }
    for session in &two {
        assert_eq!(sees(session).await?, digest("two"));
    }

    // A link that is switched off at one opens nothing at the other.
    first.link(id, false).await?;
    let [_, session] = &one;
    wait_for(
        SOON,
        "the link to be off at the other replica",
        async || {
            anyhow::ensure!(sees(session).await.is_err(), "it is open");
            Ok(())
        },
    )
    .await?;
    for session in &two {
        assert_eq!(sees(session).await?, digest("two"));
    }
    drop((one, two));
    second.stop().await?;
    cluster.finish().await
}
