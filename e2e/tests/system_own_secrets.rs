//! Links that carry secrets of their own (AGT-6): several agents use one instance at the same time, each
//! with what is its own.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_api::link::Link;
use agentopia_domain::InstanceId;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::api::refused;
use agentopia_test_support::canary::nowhere;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::mcp::SessionClient;
use agentopia_test_support::{Cluster, Runtime, TestAgent, wait_for};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const THEIRS: &str = "canary-1d0c77e2-of-the-instance";
const ONE: &str = "canary-5b7731aa-of-the-first";
const TWO: &str = "canary-90ffe1c4-of-the-second";
const NEXT: &str = "canary-e41b03d9-after-rotation";
const NAME: &str = "ECHO_SECRET";
/// Within this processes that hold what is no longer to be used are gone.
const SOON: Duration = Duration::from_secs(20);

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_use_one_instance_with_secrets_of_their_own_with_child_processes()
-> anyhow::Result<()> {
    own_secrets(Runtime::Process).await
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_use_one_instance_with_secrets_of_their_own_with_containers() -> anyhow::Result<()> {
    own_secrets(Runtime::Docker).await
}

/// What the server sees of an agent, in a session and without.
async fn sees(agent: &TestAgent, session: &SessionClient, expected: &str) -> anyhow::Result<()> {
    let said = session.call("env", json!({"name": NAME})).await?;
    anyhow::ensure!(said.text() == sha256(expected), "session: {}", said.text());
    let said = agent.call("env", json!({"name": NAME})).await?;
    anyhow::ensure!(said.text() == sha256(expected), "modern: {}", said.text());
    Ok(())
}

async fn own_secrets(runtime: Runtime) -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .runtime(runtime)
        .set("RUST_LOG", "debug")
        .start()
        .await?;
    let admin = &cluster.admin;
    for (name, value) in [("theirs", THEIRS), ("one", ONE), ("two", TWO)] {
        admin.put_secret(name, value).await?;
    }
    let mut request = deployment("echo");
    request.secrets = BTreeMap::from([(NAME.to_owned(), "theirs".to_owned())]);
    let echo = cluster.deploy_with(request).await?.id;
    let (first, second, third) = (
        cluster.agent_with("first", &[]).await?,
        cluster.agent_with("second", &[]).await?,
        cluster.agent_with("third", &[echo]).await?,
    );
    let link = first.link_with(echo, &[(NAME, "one")]).await?;
    assert_eq!(link.secrets.len(), 1);
    second.link_with(echo, &[(NAME, "two")]).await?;
    let (one, two, three) = tokio::try_join!(first.session(), second.session(), third.session())?;

    // All at the same time, again and again: nobody ever sees another's.
    let again = async |agent: &TestAgent, session: &SessionClient, expected: &str| {
        for _ in 0..20 {
            sees(agent, session, expected).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(
        again(&first, &one, ONE),
        again(&second, &two, TWO),
        again(&third, &three, THEIRS),
    )?;
    for secret in [ONE, TWO, THEIRS] {
        nowhere(&cluster, echo, secret).await?;
    }

    // A new value counts at once, in sessions that are open too; the value before is nowhere any more.
    admin.put_secret("one", NEXT).await?;
    sees(&first, &one, NEXT).await?;
    sees(&second, &two, TWO).await?;
    gone(&cluster, echo, ONE).await?;
    nowhere(&cluster, echo, NEXT).await?;

    // What is in use stays, and who uses it is told.
    let error = refused(admin.delete("/api/v1/secrets/one").await, "secret_in_use")?;
    assert!(error.detail.contains("first"), "{}", error.detail);

    // A link that is switched off, and one that carries nothing of its own any more.
    first.link(echo, false).await?;
    assert!(one.call("env", json!({"name": NAME})).await.is_err());
    gone(&cluster, echo, NEXT).await?;
    first.link(echo, true).await?;
    sees(&first, &first.session().await?, NEXT).await?;
    first.link_with(echo, &[]).await?;
    sees(&first, &first.session().await?, THEIRS).await?;
    gone(&cluster, echo, NEXT).await?;
    admin.delete("/api/v1/secrets/one").await?;
    sees(&second, &two, TWO).await?;
    sees(&third, &three, THEIRS).await?;

    let shown: Value = admin
        .get(&format!("/api/v1/agents/{}/links", second.id()))
        .await?;
    assert!(shown.to_string().contains(NAME), "{shown}");
    let events: Value = admin.get("/api/v1/events?limit=200").await?;
    let told = events.to_string();
    assert!(told.contains("secrets of a link"), "{told}");
    for text in [shown.to_string(), told] {
        assert!(!text.contains("canary"), "{text}");
    }
    for session in [one, two, three] {
        drop(session);
    }
    cluster.finish().await
}

/// No process has it in its environment any more, soon.
async fn gone(cluster: &Cluster, instance: InstanceId, secret: &str) -> anyhow::Result<()> {
    let what = "the secret to be in no process";
    wait_for(SOON, what, async || {
        nowhere(cluster, instance, secret).await?;
        for process in agentopia_test_support::process::all() {
            let environ = std::fs::read(format!("/proc/{}/environ", process.pid));
            let environ = environ.unwrap_or_default();
            let holds = agentopia_test_support::leaks::contains(&environ, secret.as_bytes());
            anyhow::ensure!(!holds, "it is in {}", process.command_line());
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_speaks_http_takes_no_link_with_secrets_and_changes_nothing()
-> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    EchoEntry::new("http", &["--http", "0.0.0.0:3001"])
        .with(
            "/transport",
            json!({"type": "streamable_http", "port": 3001, "path": "/mcp"}),
        )
        .add(&cluster.admin)
        .await?;
    cluster.admin.put_secret("one", ONE).await?;
    let http = cluster.deploy("http").await?.id;
    let agent = cluster.agent_with("a", &[http]).await?;
    let problem = refused(
        agent.link_with(http, &[(NAME, "one")]).await,
        "link_secrets_unsupported",
    )?;
    assert!(
        problem.detail.contains("instance of its own"),
        "{problem:?}"
    );
    let links: Vec<Link> = cluster
        .admin
        .list(&format!("/api/v1/agents/{}/links", agent.id()))
        .await?;
    assert!(links[0].enabled && links[0].secrets.is_empty());
    let said = agent.call("env", json!({"name": NAME})).await?;
    assert!(said.is_error(), "{}", said.text());
    cluster.finish().await
}
