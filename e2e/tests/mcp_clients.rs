//! Official MCP clients against agents' endpoints, with the reference servers behind them: every
//! client with every server, all transports upstream, both eras downstream.

use std::time::Duration;

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus;
use agentopia_e2e::peers::Peer;
use agentopia_test_support::api::http_client;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::{Cluster, Runtime, TestAgent, wait_for};
use anyhow::Context as _;
use serde_json::{Value, json};

/// Python and Node servers take seconds to their first word, several at once on two cores.
const DEPLOY: Duration = Duration::from_secs(120);

/// A server of the catalog, and what has to come of it.
struct Server {
    slug: &'static str,
    config: Value,
    tools: &'static [&'static str],
    calls: Value,
    check: fn(&[Value]) -> anyhow::Result<()>,
}

/// server-everything shows it to clients alone that declared what it needs (rule 13).
fn is_for_some(tool: &Value) -> bool {
    tool.as_str()
        .is_some_and(|name| name.ends_with("trigger-url-elicitation"))
}

fn text(result: &Value) -> String {
    let parts = result["content"].as_array().cloned().unwrap_or_default();
    parts
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect()
}

fn servers() -> Vec<Server> {
    let echo_and_sum = json!([
        {"tool": "echo", "arguments": {"message": "héllo \u{1f600}"}},
        {"tool": "get-sum", "arguments": {"a": 2, "b": 40}},
        // Asks the client for a name in the middle of the call.
        {"tool": "trigger-elicitation-request", "arguments": {}},
    ]);
    let everything: fn(&[Value]) -> anyhow::Result<()> = |results| {
        anyhow::ensure!(text(&results[0]).contains("héllo \u{1f600}"), "{results:?}");
        anyhow::ensure!(text(&results[1]).contains("42"), "{results:?}");
        anyhow::ensure!(text(&results[2]).contains("Name: Ada"), "{results:?}");
        Ok(())
    };
    vec![
        Server {
            slug: "everything",
            config: json!({}),
            tools: &["echo", "get-sum"],
            calls: echo_and_sum.clone(),
            check: everything,
        },
        Server {
            slug: "everything-http",
            config: json!({}),
            tools: &["echo", "get-sum"],
            calls: echo_and_sum.clone(),
            check: everything,
        },
        Server {
            slug: "everything-sse",
            config: json!({}),
            tools: &["echo", "get-sum"],
            calls: echo_and_sum,
            check: everything,
        },
        Server {
            slug: "filesystem",
            config: json!({}),
            tools: &["write_file", "read_text_file", "list_directory"],
            calls: json!([
                {"tool": "write_file", "arguments": {"path": "/data/a.txt", "content": "one\ntwo"}},
                {"tool": "read_text_file", "arguments": {"path": "/data/a.txt"}},
                {"tool": "read_text_file", "arguments": {"path": "/etc/passwd"}},
            ]),
            check: |results| {
                anyhow::ensure!(text(&results[1]) == "one\ntwo", "{results:?}");
                anyhow::ensure!(results[2]["isError"] == true, "{results:?}");
                Ok(())
            },
        },
        Server {
            slug: "time",
            config: json!({"local_timezone": "Europe/Berlin"}),
            tools: &["get_current_time", "convert_time"],
            calls: json!([{"tool": "convert_time", "arguments": {
                "source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo",
            }}]),
            check: |results| {
                anyhow::ensure!(text(&results[0]).contains("Asia/Tokyo"), "{results:?}");
                Ok(())
            },
        },
        Server {
            slug: "fetch",
            config: json!({"ignore_robots_txt": true}),
            tools: &["fetch"],
            // Nothing can be fetched from inside; the server has to say so itself.
            calls: json!([{"tool": "fetch", "arguments": {"url": "http://unreachable.invalid/"}}]),
            check: |results| {
                anyhow::ensure!(results[0]["isError"] == true, "{results:?}");
                Ok(())
            },
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_official_client_uses_every_reference_server() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let mut deployed = Vec::new();
    for server in servers() {
        let mut request = deployment(server.slug);
        request.config = server.config.as_object().cloned().unwrap_or_default();
        let instance: agentopia_api::instance::Instance = cluster
            .admin
            .post("/api/v1/instances", &request)
            .await
            .context(server.slug)?;
        deployed.push((server, instance.id));
    }
    let mut all = Vec::new();
    for (server, id) in &deployed {
        let waited = cluster
            .admin
            .wait_status(*id, InstanceStatus::Running, DEPLOY)
            .await;
        waited.context(server.slug)?;
        all.push(*id);
    }
    let mut wrong = Vec::new();
    for (server, id) in &deployed {
        let agent = cluster.agent_with(server.slug, &[*id]).await?;
        for peer in Peer::ALL {
            if let Err(error) = one(server, &agent, peer).await {
                wrong.push(format!("{peer:?} with {}: {error:#}", server.slug));
            }
        }
    }
    // All of them behind one endpoint: names that two servers share get a prefix, once and for all.
    let agent = cluster.agent_with("everything at once", &all).await?;
    // Python servers take up to seven seconds to their first word on two busy cores, and a list does
    // not wait that long for one server (rule 16): it comes with a later list.
    wait_for(
        Duration::from_secs(30),
        "the slow servers to show",
        async || {
            let tools = agent.tools().await?;
            let shown = |name: &str| tools.iter().any(|tool| tool == name);
            anyhow::ensure!(shown("fetch") && shown("convert_time"), "{tools:?}");
            Ok(())
        },
    )
    .await?;
    let mut lists = Vec::new();
    for peer in Peer::ALL {
        let calls = json!([{"tool": "convert_time", "arguments": {
            "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo",
        }}]);
        // Each client has processes of its own, which are slow to their first word as well.
        let whole = wait_for(Duration::from_secs(60), "the whole list", async || {
            let seen = peer
                .run(&agent.record.mcp_url, &agent.token, &calls)
                .await?;
            let mut tools = seen["tools"].clone();
            if let Some(all) = tools.as_array_mut() {
                all.retain(|name| !is_for_some(name));
            }
            for name in ["fetch", "convert_time", "write_file", "echo"] {
                let shown = tools
                    .as_array()
                    .is_some_and(|all| all.iter().any(|it| it == name));
                anyhow::ensure!(shown, "no {name}: {tools}");
            }
            Ok(tools)
        });
        match whole.await {
            Ok(tools) => lists.push(tools),
            Err(error) => wrong.push(format!("{peer:?} with all servers: {error:#}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(
        lists.windows(2).all(|pair| pair[0] == pair[1]),
        "every client sees the same: {lists:?}"
    );
    let tools = lists[0].as_array().cloned().unwrap_or_default();
    let names: std::collections::BTreeSet<_> = tools.iter().filter_map(Value::as_str).collect();
    assert_eq!(names.len(), tools.len(), "names are unique: {tools:?}");
    for name in ["fetch", "write_file", "get_current_time", "echo"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(
        names.iter().any(|name| name.ends_with("__echo")),
        "{names:?}"
    );
    let fits = |name: &&str| {
        name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    assert!(names.iter().all(fits), "{names:?}");
    cluster
        .admin
        .wait_environment(EnvironmentStatus::Active, DEPLOY)
        .await?;
    cluster.finish().await
}

async fn one(server: &Server, agent: &TestAgent, peer: Peer) -> anyhow::Result<()> {
    let seen = peer
        .run(&agent.record.mcp_url, &agent.token, &server.calls)
        .await?;
    for tool in server.tools {
        let listed = seen["tools"]
            .as_array()
            .is_some_and(|list| list.iter().any(|it| it == tool));
        anyhow::ensure!(listed, "no tool {tool}: {}", seen["tools"]);
    }
    let era = seen["version"].as_str().unwrap_or_default();
    let expected = peer.version();
    anyhow::ensure!(era == expected, "it chose {era}, not {expected}");
    if server.slug.starts_with("everything") {
        let count = |list: &str| seen[list].as_array().map_or(0, Vec::len);
        anyhow::ensure!(count("resources") > 0 && count("prompts") > 0, "{seen}");
    }
    let results = seen["results"].as_array().cloned().unwrap_or_default();
    anyhow::ensure!(
        results.len() == server.calls.as_array().map_or(0, Vec::len),
        "{results:?}"
    );
    (server.check)(&results)
}

/// A client that opens a session and never says goodbye.
struct Forgetful<'a> {
    agent: &'a TestAgent,
    session: String,
}

impl<'a> Forgetful<'a> {
    async fn open(agent: &'a TestAgent) -> anyhow::Result<Self> {
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "forgetful", "version": "1"}}});
        let answer = Self::post(agent, None, &hello).await?;
        let session = answer.headers().get("mcp-session-id");
        let session = session.context("no session")?.to_str()?.to_owned();
        Ok(Self { agent, session })
    }

    /// Lists a directory.
    async fn call(&self) -> anyhow::Result<()> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "list_directory", "arguments": {"path": "/data"}}});
        let answer = Self::post(self.agent, Some(&self.session), &call).await?;
        let answer = answer.text().await?;
        anyhow::ensure!(answer.contains("\"result\""), "{answer}");
        Ok(())
    }

    async fn post(
        agent: &TestAgent,
        session: Option<&str>,
        message: &Value,
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = http_client()?
            .post(&agent.record.mcp_url)
            .bearer_auth(&agent.token)
            .header("accept", "application/json, text/event-stream")
            .json(message);
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        Ok(request.send().await?.error_for_status()?)
    }
}

/// Each leaves a process behind, and a dozen of Node's are more than the tool may have.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_nobody_uses_make_room_for_others() -> anyhow::Result<()> {
    const CLIENTS: usize = 12;
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let instance = cluster.deploy("filesystem").await?;
    let agent = cluster.agent_with("forgetful", &[instance.id]).await?;
    let mut left = Vec::new();
    for n in 0..CLIENTS {
        let client = Forgetful::open(&agent).await?;
        client.call().await.with_context(|| format!("client {n}"))?;
        left.push(client);
    }
    // Also the first, whose process is long gone.
    for (n, client) in left.iter().enumerate() {
        let called = client.call().await;
        called.with_context(|| format!("client {n} again"))?;
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_a_clear_refusal_for_every_client() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    for peer in Peer::ALL {
        // `mcp-remote` goes on to a browser login, which nobody makes here: `node_remote.mjs` ends it.
        let outcome = peer
            .run(&agent.record.mcp_url, "agt_wrong", &json!([]))
            .await;
        assert!(outcome.is_err(), "{peer:?} was let in: {outcome:?}");
        let calls = json!([{"tool": "add", "arguments": {"a": 1, "b": 2}}]);
        let seen = peer
            .run(&agent.record.mcp_url, &agent.token, &calls)
            .await?;
        assert_eq!(text(&seen["results"][0]), "3", "{peer:?}: {seen}");
    }
    cluster.finish().await
}
