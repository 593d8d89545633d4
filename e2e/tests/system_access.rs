//! Who may use what, and what must never be seen: secrets, isolation of agents and accounts, links
//! and tokens that were taken back.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_api::token::Token;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::api::{code, refused};
use agentopia_test_support::canary::nowhere;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::mcp::ModernError;
use agentopia_test_support::{Cluster, Runtime, TestAgent, binaries, docker, wait_for};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Within this a change of access counts everywhere.
const AT_ONCE: Duration = Duration::from_secs(10);
const CANARY: &str = "canary-5f2c9be1-never-to-be-seen";
const SECOND: &str = "canary-77aa01d3-after-rotation";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_tool_and_nothing_else_with_child_processes() -> anyhow::Result<()> {
    secrets(Runtime::Process).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_tool_and_nothing_else_with_containers() -> anyhow::Result<()> {
    secrets(Runtime::Docker).await
}

async fn secrets(runtime: Runtime) -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .runtime(runtime)
        .set("RUST_LOG", "debug")
        .start()
        .await?;
    let admin = &cluster.admin;
    admin.put_secret("api-key", CANARY).await?;
    let mut request = deployment("echo");
    request.secrets = BTreeMap::from([("ECHO_SECRET".to_owned(), "api-key".to_owned())]);
    let echo = cluster.deploy_with(request).await?;
    let env = async |expected: &str| -> anyhow::Result<()> {
        let said = admin
            .call(echo.id, "env", json!({"name": "ECHO_SECRET"}))
            .await?;
        let text = said.result["content"][0]["text"].clone();
        anyhow::ensure!(text == sha256(expected), "{text}");
        Ok(())
    };
    env(CANARY).await?;
    // While a process of the tool lives, and holds it in its memory.
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let session = agent.session().await?;
    let said = session.call("env", json!({"name": "ECHO_SECRET"})).await?;
    assert_eq!(said.text(), sha256(CANARY));
    nowhere(&cluster, echo.id, CANARY).await?;

    // A new value restarts the tool with it, by itself.
    admin.put_secret("api-key", SECOND).await?;
    wait_for(Duration::from_secs(30), "the new value", async || {
        env(SECOND).await
    })
    .await?;
    nowhere(&cluster, echo.id, SECOND).await?;

    // It comes back with its secret after its management agent was killed.
    let machine = cluster.machine().await?;
    let before = machine.kill_dtma().await?;
    machine.dtma_after(before).await?;
    wait_for(
        Duration::from_secs(40),
        "the value after a crash",
        async || env(SECOND).await,
    )
    .await?;
    nowhere(&cluster, echo.id, SECOND).await?;

    refused(
        admin.delete("/api/v1/secrets/api-key").await,
        "secret_in_use",
    )?;
    let listed: Value = admin.get("/api/v1/secrets").await?;
    assert!(!listed.to_string().contains("canary"), "{listed}");
    let events: Value = admin.get("/api/v1/events?limit=200").await?;
    assert!(!events.to_string().contains("canary"), "{events}");
    assert!(
        events.to_string().contains("secret"),
        "its use is in the audit: {events}"
    );
    drop(session);
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_tool_prints_to_its_standard_output_is_in_no_log() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = binaries::static_build("agentopia-echo")?;
    let script = format!("echo key is $ECHO_SECRET; exec {}", echo.display());
    EchoEntry::new("talkative", &[])
        .with("/versions/0/process", json!(["/bin/sh", "-c", script]))
        .with("/secrets", json!([{"name": "ECHO_SECRET"}]))
        .add(&cluster.admin)
        .await?;
    cluster.admin.put_secret("api-key", CANARY).await?;
    let mut request = deployment("talkative");
    request.secrets = BTreeMap::from([("ECHO_SECRET".to_owned(), "api-key".to_owned())]);
    let talkative = cluster.deploy_with(request).await?;
    let agent = cluster.agent_with("a", &[talkative.id]).await?;
    let session = agent.session().await?;
    let said = session.call("env", json!({"name": "ECHO_SECRET"})).await?;
    assert_eq!(said.text(), sha256(CANARY));
    assert!(cluster.logs().contains("dropped a line"), "it was noticed");
    nowhere(&cluster, talkative.id, CANARY).await?;
    session.close().await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_use_one_instance_in_sessions_of_their_own() -> anyhow::Result<()> {
    for runtime in [Runtime::Process, Runtime::Docker] {
        let cluster = Cluster::local().runtime(runtime).start().await?;
        let echo = cluster.deploy("echo").await?;
        let first = cluster.agent_with("first", &[echo.id]).await?;
        let second = cluster.agent_with("second", &[echo.id]).await?;
        let (one, two) = tokio::try_join!(first.session(), second.session())?;
        tokio::try_join!(one.tools(), two.tools())?;
        let machine = cluster.machine().await?;
        let living = async || -> anyhow::Result<usize> {
            if runtime == Runtime::Docker {
                // PID 1 is tool-init.
                let all = docker::processes(&machine.container(echo.id).await?).await?;
                return Ok(all.len() - 1);
            }
            Ok(machine.tool_processes(echo.id)?.len())
        };
        wait_for(AT_ONCE, "a process for each session", async || {
            let count = living().await?;
            anyhow::ensure!(count == 2, "{count} processes");
            Ok(())
        })
        .await?;

        // The same request ids at the same time; every answer goes where it was asked for.
        let calls = (0..40).map(|number| {
            let (one, two, first, second) = (&one, &two, &first, &second);
            async move {
                let text = |who: &str| json!({"text": format!("{who} {number}")});
                let (a, b, c, d) = tokio::try_join!(
                    one.call("echo", text("one")),
                    two.call("echo", text("two")),
                    first.call("echo", text("first")),
                    second.call("echo", text("second")),
                )?;
                anyhow::ensure!(a.text() == format!("one {number}"), "{a:?}");
                anyhow::ensure!(b.text() == format!("two {number}"), "{b:?}");
                anyhow::ensure!(c.text() == format!("first {number}"), "{c:?}");
                anyhow::ensure!(d.text() == format!("second {number}"), "{d:?}");
                Ok(())
            }
        });
        futures::future::try_join_all(calls).await?;

        // The end of one's session ends its process and not the other's.
        one.close().await?;
        assert_eq!(
            two.call("echo", json!({"text": "still here"}))
                .await?
                .text(),
            "still here"
        );
        two.close().await?;
        cluster.finish().await?;
    }
    Ok(())
}

fn status_of<T: std::fmt::Debug>(outcome: &anyhow::Result<T>) -> Option<u16> {
    let error = outcome.as_ref().err()?;
    error
        .downcast_ref::<ModernError>()
        .map(|error| error.status.as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_tokens_that_are_taken_back_stop_working() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let session = agent.session().await?;
    assert_eq!(session.tools().await?.len(), 5);

    agent.link(echo.id, false).await?;
    assert!(agent.tools().await?.is_empty());
    let outcome = agent.call("echo", json!({"text": "x"})).await;
    let refused_call = outcome.is_err() || outcome.as_ref().is_ok_and(|called| called.is_error());
    assert!(
        refused_call,
        "a tool behind a disabled link answered: {outcome:?}"
    );
    wait_for(AT_ONCE, "the open session to lose the tools", async || {
        let tools = session.tools().await?;
        anyhow::ensure!(tools.is_empty(), "{tools:?}");
        Ok(())
    })
    .await?;
    agent.link(echo.id, true).await?;
    assert_eq!(agent.tools().await?.len(), 5);

    // Some of the tools, under other names.
    let policy = json!({"enabled": true, "policy": {
        "allowed_tools": ["echo", "add"], "renamed_tools": {"add": "sum"},
    }});
    let path = format!("/api/v1/agents/{}/links/{}", agent.id(), echo.id);
    cluster.admin.put::<Value>(&path, &policy).await?;
    assert_eq!(agent.tools().await?, ["echo", "sum"]);
    assert_eq!(
        agent.call("sum", json!({"a": 1, "b": 1})).await?.text(),
        "2"
    );
    assert!(agent.call("env", json!({"name": "HOME"})).await.is_err());

    let path = format!("/api/v1/agents/{}/tokens/{}", agent.id(), agent.token_id);
    cluster.admin.delete(&path).await?;
    wait_for(AT_ONCE, "the revoked token to be refused", async || {
        let outcome = agent.tools().await;
        anyhow::ensure!(status_of(&outcome) == Some(401), "{outcome:?}");
        Ok(())
    })
    .await?;
    let outcome = session.call("echo", json!({"text": "x"})).await;
    assert!(
        outcome.is_err(),
        "a session outlived its token: {outcome:?}"
    );
    let path = format!("/api/v1/agents/{}/tokens", agent.id());
    let tokens: Vec<Token> = cluster.admin.list(&path).await?;
    assert!(tokens.iter().all(|token| token.revoked_at.is_some()));
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn other_accounts_things_do_not_exist() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    cluster
        .admin
        .put_secret("mine", "value-of-the-admin")
        .await?;
    let stranger = cluster.user("stranger@example.com").await?;
    let strangers = TestAgent::create(&stranger, "theirs", &[]).await?;

    let unknown = "0191f0a0-0000-7000-8000-000000000000";
    for (method, path, body) in [
        ("GET", "/api/v1/instances/{i}", Value::Null),
        ("PATCH", "/api/v1/instances/{i}", json!({"name": "taken"})),
        ("DELETE", "/api/v1/instances/{i}", Value::Null),
        ("POST", "/api/v1/instances/{i}/stop", json!({})),
        ("POST", "/api/v1/instances/{i}/start", json!({})),
        ("POST", "/api/v1/instances/{i}/restart", json!({})),
        (
            "POST",
            "/api/v1/instances/{i}/call",
            json!({"tool": "echo"}),
        ),
        ("GET", "/api/v1/instances/{i}/tools", Value::Null),
        ("GET", "/api/v1/instances/{i}/logs", Value::Null),
        ("GET", "/api/v1/agents/{a}", Value::Null),
        ("PATCH", "/api/v1/agents/{a}", json!({"name": "taken"})),
        ("DELETE", "/api/v1/agents/{a}", Value::Null),
        ("GET", "/api/v1/agents/{a}/tokens", Value::Null),
        ("POST", "/api/v1/agents/{a}/tokens", json!({"name": "t"})),
        ("GET", "/api/v1/agents/{a}/links", Value::Null),
        ("GET", "/api/v1/agents/{a}/discovery", Value::Null),
        ("GET", "/api/v1/agents/{a}/config", Value::Null),
        ("PUT", "/api/v1/agents/{own}/links/{i}", json!({})),
    ] {
        let mut answers = Vec::new();
        for (instance, agent) in [
            (echo.id.to_string(), agent.id().to_string()),
            (unknown.into(), unknown.into()),
        ] {
            let path = path
                .replace("{i}", &instance)
                .replace("{a}", &agent)
                .replace("{own}", &strangers.id().to_string());
            let mut request = stranger.request(method.parse()?, &path);
            if !body.is_null() {
                request = request.json(&body);
            }
            let problem = agentopia_test_support::api::problem(request.send().await?).await?;
            let says = problem
                .detail
                .replace(&instance, "ID")
                .replace(&agent, "ID");
            answers.push((problem.status, problem.code, problem.title, says));
        }
        assert_eq!(answers[0], answers[1], "{method} {path}");
        assert_eq!(answers[0].0, 404, "{method} {path}: {answers:?}");
    }
    let secrets: Value = stranger.get("/api/v1/secrets").await?;
    assert!(!secrets.to_string().contains("mine"), "{secrets}");
    let events: Value = stranger.get("/api/v1/events?limit=200").await?;
    assert!(
        !events.to_string().contains(&echo.id.to_string()),
        "{events}"
    );

    // At the MCP endpoints: somebody's token opens nobody else's.
    let foreign = |path: String, token: &str| {
        let url = format!("{}{path}", cluster.control_plane.base_url());
        agentopia_test_support::mcp::ModernClient::new(&url, token)
    };
    let mut seen = Vec::new();
    for path in [
        format!("/agents/{}/mcp", agent.id()),
        format!("/instances/{}/mcp", echo.id),
    ] {
        for token in [strangers.token.as_str(), stranger.token()] {
            seen.push(status_of(&foreign(path.clone(), token)?.tools().await));
        }
    }
    for path in [
        format!("/agents/{unknown}/mcp"),
        format!("/instances/{unknown}/mcp"),
    ] {
        for token in [strangers.token.as_str(), stranger.token()] {
            seen.push(status_of(&foreign(path.clone(), token)?.tools().await));
        }
    }
    assert_eq!(
        seen[..4],
        seen[4..],
        "foreign and unknown endpoints answer alike"
    );
    assert!(
        seen.iter()
            .all(|status| matches!(status, Some(401 | 403 | 404))),
        "{seen:?}"
    );

    // Nothing was changed by all of this.
    let still = cluster.admin.instance(echo.id).await?;
    assert_eq!(
        (still.status, still.generation),
        (InstanceStatus::Running, echo.generation)
    );
    assert_eq!(agent.tools().await?.len(), 5);
    let outcome = stranger.post::<Value>("/api/v1/catalog", &json!({})).await;
    let refusal = outcome
        .err()
        .and_then(|error| code(&error).map(str::to_owned));
    assert!(refusal.is_some_and(|code| code == "forbidden" || code == "invalid_input"));
    cluster.finish().await
}
