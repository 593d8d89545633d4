//! Servers of the 2024-11-05 transport, HTTP+SSE, through the whole product: the official reference server
//! in its `sse` mode, in a container of ours and as a server that runs elsewhere.

use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_domain::InstanceId;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::InstanceStatus;
use agentopia_e2e::talker::Talker;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::docker::docker;
use agentopia_test_support::{Cluster, Runtime, TestAgent, binaries, wait_for};
use anyhow::Context as _;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

/// The reference server in a container that is none of the product's.
struct Elsewhere {
    container: String,
    url: String,
}

impl Elsewhere {
    async fn start() -> anyhow::Result<Self> {
        let images: Value = serde_json::from_str(&std::fs::read_to_string(binaries::images()?)?)?;
        let everything = &images["mcp-server-everything"];
        let text = |key: &str| {
            everything[key]
                .as_str()
                .context("script/images has not run")
        };
        let image = format!("{}@{}", text("image")?, text("digest")?);
        // The same one after a restart, which an address that Docker chooses is not.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let publish = format!("{port}:3001");
        let run = ["run", "-d", "-p", &publish, &image, "sse"];
        Ok(Self {
            container: docker(&run).await?.trim().to_owned(),
            url: format!("http://{port}/sse"),
        })
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let mut remove = std::process::Command::new("docker");
        let _ = remove.args(["rm", "-f", &self.container]).output();
    }
}

/// Everything that a server can do, over one session; and with it the modern era.
async fn does_everything(agent: &TestAgent) -> anyhow::Result<()> {
    let talker = Talker::open(agent).await?;
    let mut own = talker.listen().await?;

    let listed = talker.ask("tools/list", json!({})).await?;
    let tools = listed.last().context("no list")?["result"]["tools"].to_string();
    // Those for clients alone that can be asked something show what the server was told of us.
    for tool in [
        "echo",
        "trigger-elicitation-request",
        "trigger-sampling-request",
        "get-roots-list",
    ] {
        anyhow::ensure!(tools.contains(&format!("\"{tool}\"")), "no {tool}: {tools}");
    }
    for (method, list) in [("resources/list", "resources"), ("prompts/list", "prompts")] {
        let listed = talker.ask(method, json!({})).await?;
        let result = &listed.last().context("no list")?["result"];
        let count = result[list].as_array().map_or(0, Vec::len);
        anyhow::ensure!(count > 0, "{result}");
    }

    let echoed = talker.text("echo", json!({"message": "héllo \u{1f600}"}));
    assert_eq!(echoed.await?, "Echo: héllo \u{1f600}");
    let large = "x".repeat(1 << 20);
    let echoed = talker.text("echo", json!({"message": large})).await?;
    assert_eq!(echoed.len(), large.len() + "Echo: ".len());

    // Errors: the server's own words, for a tool that is not there and for wrong arguments.
    let wrong = talker.call("get-sum", json!({"a": "no number"})).await?;
    let wrong = wrong.last().context("no answer")?;
    anyhow::ensure!(
        wrong["result"]["isError"] == true || wrong["error"].is_object(),
        "{wrong}"
    );

    let long = json!({"duration": 1, "steps": 4});
    let heard = talker.call("trigger-long-running-operation", long).await?;
    let progress: Vec<_> = heard
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| {
            (
                &message["params"]["progressToken"],
                &message["params"]["progress"],
            )
        })
        .collect();
    let mine = json!("mine");
    let steps = [json!(1), json!(2), json!(3), json!(4)];
    assert_eq!(
        progress,
        steps.iter().map(|n| (&mine, n)).collect::<Vec<_>>()
    );

    for (tool, arguments, expected) in [
        ("trigger-elicitation-request", json!({}), "Name: Ada"),
        (
            "trigger-sampling-request",
            json!({"prompt": "p", "maxTokens": 10}),
            "sampled by hand",
        ),
        ("get-roots-list", json!({}), "file:///by-hand"),
    ] {
        let said = talker.text(tool, arguments).await?;
        anyhow::ensure!(said.contains(expected), "{tool}: {said}");
    }

    // It tells of tools that it shows once it knows what we can.
    loop {
        let told = own.next().await?.context("our stream ended")?;
        if told["method"] == "notifications/tools/list_changed" {
            break;
        }
    }
    is_cancelled(&talker).await?;

    let modern = agent.modern()?;
    let said = modern.call("echo", json!({"message": "modern"})).await?;
    assert_eq!(said.text(), "Echo: modern");
    Ok(())
}

/// A call that is cancelled gives its stream back at once, and the session goes on.
async fn is_cancelled(talker: &Talker) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    let slow = json!({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": {
        "name": "trigger-long-running-operation", "arguments": {"duration": 50, "steps": 100},
        "_meta": {"progressToken": "slow"}}});
    let mut hearing = talker.post(&slow).await?;
    let first = hearing.next().await?.context("no progress")?;
    assert_eq!(first["params"]["progressToken"], "slow");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}});
    talker.post(&cancel).await?;
    while hearing.next().await?.is_some() {}
    anyhow::ensure!(begun.elapsed() < Duration::from_secs(20), "it went on");
    let sum = talker.text("get-sum", json!({"a": 2, "b": 40})).await?;
    anyhow::ensure!(sum.contains("42"), "{sum}");
    Ok(())
}

/// The session that was there goes on after its server is another one.
async fn goes_on(talker: &Talker) -> anyhow::Result<()> {
    wait_for(LIMIT, "an answer of the new server", async || {
        let said = talker.text("echo", json!({"message": "again"})).await?;
        anyhow::ensure!(said == "Echo: again", "{said}");
        Ok(())
    })
    .await
}

async fn is_called_by_hand(cluster: &Cluster, id: InstanceId) -> anyhow::Result<()> {
    let arguments = json!({"message": "by hand"});
    let answer = cluster.admin.call(id, "echo", arguments).await?;
    assert_eq!(answer.result["content"][0]["text"], "Echo: by hand");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_sse_server_in_a_container_does_everything() -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .set("AGENTOPIA_SHORTEST_IDLE_SECONDS", "3")
        .start()
        .await?;
    let id = cluster.deploy("everything-sse").await?.id;
    let agent = cluster.agent_with("helper", &[id]).await?;
    does_everything(&agent).await?;
    is_called_by_hand(&cluster, id).await?;

    let talker = Talker::open(&agent).await?;
    talker.text("echo", json!({"message": "before"})).await?;
    cluster.admin.instance_verb(id, "restart").await?;
    goes_on(&talker).await?;

    // One that sleeps is woken by a call.
    let mut request = deployment("everything-sse");
    request.idle = IdleSetting::After { seconds: 3 };
    let sleepy = cluster.deploy_with(request).await?.id;
    let other = cluster.agent_with("other", &[sleepy]).await?;
    let talker = Talker::open(&other).await?;
    talker.text("echo", json!({"message": "before"})).await?;
    cluster
        .admin
        .wait_status(sleepy, InstanceStatus::Asleep, LIMIT)
        .await?;
    let woken = talker.text("echo", json!({"message": "woken"})).await?;
    assert_eq!(woken, "Echo: woken");
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_sse_server_elsewhere_does_everything() -> anyhow::Result<()> {
    let server = Elsewhere::start().await?;
    let cluster = Cluster::local()
        .set("AGENTOPIA_REMOTE_ALLOW", "127.0.0.1/32")
        .start()
        .await?;
    let request = json!({"catalog": "remote-sse", "url": server.url});
    let instance: Instance = cluster.admin.post("/api/v1/instances", &request).await?;
    let id = cluster.running(instance.id).await?.id;
    let agent = cluster.agent_with("helper", &[id]).await?;
    does_everything(&agent).await?;
    is_called_by_hand(&cluster, id).await?;

    // It is restarted where it runs: whoever has a session notices nothing but a pause.
    let talker = Talker::open(&agent).await?;
    talker.text("echo", json!({"message": "before"})).await?;
    docker(&["restart", "-t", "0", &server.container]).await?;
    goes_on(&talker).await?;
    cluster.finish().await
}
