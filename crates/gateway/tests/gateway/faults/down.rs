//! Servers that can not be asked: no list fails or waits for them, and it is said which they are (rule 16).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_gateway::GatewayConfig;
use serde_json::json;
use tokio::time::Instant;

use super::{DEADLINE, dead_url, forever, impatient};
use crate::rig::Rig;
use crate::scripted::{Scripted, error, json_text, result, session_server, status};

#[tokio::test]
async fn rule_16_bad_servers_neither_fail_nor_delay_a_list() {
    let good = Scripted::with_tools(&["echo"]).await;
    let last = Scripted::with_tools(&["last"]).await;
    let hangs = Scripted::start(|_| forever()).await;
    let hangs_at_list = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            forever().await
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let broken = Scripted::start(|_| async { status(500) }).await;
    let garbage = Scripted::start(|_| async { json_text("<html>{]") }).await;
    let wrong_id = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            json_text(r#"{"jsonrpc":"2.0","id":999999,"result":{"tools":[{"name":"evil"}]}}"#)
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let refuses = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            error(&seen, -32000, "not today")
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let endless = Scripted::start(|seen| async move {
        if seen.method() == "tools/list" {
            result(
                &seen,
                json!({"tools": [], "nextCursor": seen.id().to_string()}),
            )
        } else {
            session_server(&seen, &[])
        }
    })
    .await;
    let dead = dead_url().await;
    let mut rig = impatient().await;
    let instances: Vec<_> = [
        ("good", &good.url),
        ("hangs", &hangs.url),
        ("hangs_at_list", &hangs_at_list.url),
        ("broken", &broken.url),
        ("garbage", &garbage.url),
        ("wrong_id", &wrong_id.url),
        ("refuses", &refuses.url),
        ("dead", &dead),
        ("stopped", &good.url),
        ("endless", &endless.url),
        ("last", &last.url),
    ]
    .into_iter()
    .map(|(name, url)| rig.instance(name, url))
    .collect();
    rig.snapshot.instances[8].available = Err("stopped by its owner".into());
    let agent = rig.agent(&instances);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    for _ in 0..2 {
        let started = Instant::now();
        let reply = wire.call("tools/list", json!({})).await;
        assert!(
            started.elapsed() < DEADLINE + Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        let listed = reply.result();
        assert_eq!(crate::wire::names(&listed["tools"]), ["echo", "last"]);
        let failures = listed["_meta"]["io.agentopia/failures"]
            .as_array()
            .unwrap()
            .clone();
        let mut failed: Vec<_> = failures
            .iter()
            .map(|f| f["name"].as_str().unwrap())
            .collect();
        failed.retain(|name| *name != "endless");
        let wanted = [
            "hangs",
            "hangs_at_list",
            "broken",
            "garbage",
            "wrong_id",
            "refuses",
            "dead",
            "stopped",
        ];
        assert_eq!(failed, wanted);
        assert!(
            failures
                .iter()
                .all(|f| f["reason"].as_str().is_some_and(|r| !r.is_empty()))
        );
        assert!(
            !reply.body.contains("127.0.0.1"),
            "addresses stay inside: {}",
            reply.body
        );
    }
    wire.tool("echo", json!({})).await.result();
    wire.tool("last", json!({})).await.result();
}

#[tokio::test]
async fn rule_16_a_server_that_is_down_is_left_alone_for_a_while_and_then_tried_again() {
    let well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let state = well.clone();
    let server = Scripted::start(move |seen| {
        let well = state.load(Ordering::SeqCst);
        async move {
            match well {
                true => session_server(&seen, &["echo"]),
                false => status(502),
            }
        }
    })
    .await;
    let rest = Duration::from_millis(500);
    let config = GatewayConfig {
        breaker_rest: rest,
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, Ambient::system()).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let reason = async || {
        let listed = wire.call("tools/list", json!({})).await.result();
        let failure = &listed["_meta"]["io.agentopia/failures"][0];
        failure["reason"].as_str().unwrap_or_default().to_owned()
    };
    for _ in 0..3 {
        let reason = reason().await;
        assert!(reason.contains("502"), "{reason}");
    }
    let asked = server.seen().len();
    let last = reason().await;
    assert!(last.contains("tried again in 1 s"), "{last}");
    assert_eq!(server.seen().len(), asked, "it was not asked meanwhile");
    well.store(true, Ordering::SeqCst);
    tokio::time::sleep(rest).await;
    assert_eq!(reason().await, "");
    wire.tool("echo", json!({})).await.result();
}

#[tokio::test]
async fn rule_16_when_all_are_dead_the_list_is_empty_and_says_why() {
    let dead = dead_url().await;
    let (rig, agent) = Rig::linked(&[("gone", &dead)]).await;
    for reply in [
        rig.wire(&agent)
            .opened()
            .await
            .call("tools/list", json!({}))
            .await,
        rig.wire(&agent).modern_call("tools/list", json!({})).await,
    ] {
        let listed = reply.result();
        assert_eq!(listed["tools"], json!([]));
        assert_eq!(listed["_meta"]["io.agentopia/failures"][0]["name"], "gone");
    }
}

#[tokio::test]
async fn rule_16_a_server_without_a_stream_triggers_no_list_changed() {
    // `with_tools` answers GET with 405.
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let mut standing = wire.standing().await;
    assert_eq!(wire.tools().await, ["echo"]);
    server
        .until("the GET", |seen| seen.iter().any(|s| s.http == "GET"))
        .await;
    wire.tool("echo", json!({})).await.result();
    // What comes first on the stream is what we cause now, and nothing of the server's 405.
    rig.policy(0).always_prefix = true;
    rig.apply();
    let first = standing.next().await.unwrap();
    assert_eq!(first["method"], "notifications/tools/list_changed");
    let seconds = [
        standing.next().await.unwrap(),
        standing.next().await.unwrap(),
    ];
    assert_eq!(seconds[0]["method"], "notifications/resources/list_changed");
    assert_eq!(seconds[1]["method"], "notifications/prompts/list_changed");
    assert_eq!(server.seen().iter().filter(|s| s.http == "GET").count(), 1);
}

#[tokio::test]
async fn a_call_of_what_was_never_listed_says_which_server_could_not_be_asked() {
    let good = Scripted::with_tools(&["echo"]).await;
    let dead = dead_url().await;
    let mut rig = impatient().await;
    let instances = [("good", &good.url), ("notes", &good.url), ("files", &dead)]
        .map(|(name, url)| rig.instance(name, url));
    let login = "log in with `agentopia tools login notes`";
    rig.snapshot.instances[1].available = Err(login.into());
    let agent = rig.agent(&instances);
    rig.policy(2).allowed_tools = Some(vec!["read".into()]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    let told = async |tool: &str| {
        let reply = wire.tool(tool, json!({})).await;
        let error = reply.answer()["error"].clone();
        let data = &error["data"]["io.agentopia/failures"];
        let failed = data.as_array().cloned().unwrap_or_default();
        let names: Vec<_> = failed.iter().map(|f| f["name"].clone()).collect();
        let message = error["message"].as_str().unwrap().to_owned();
        (error["code"].clone(), message, json!(names))
    };
    // It could be of both that are silent.
    let (code, message, names) = told("read").await;
    assert_eq!((code, names), (json!(-32603), json!(["notes", "files"])));
    assert!(message.contains(login), "{message}");
    assert!(
        message.contains("files: the server can't be reached"),
        "{message}"
    );
    // One is named, or the other's link lets no such tool through.
    for tool in ["notes__read", "write"] {
        let (code, message, names) = told(tool).await;
        assert_eq!(
            (code, names),
            (json!(-32603), json!(["notes"])),
            "{message}"
        );
        assert!(message.contains(login), "{message}");
    }
    // Who has the tool answers.
    wire.tool("echo", json!({})).await.result();
    // All could be asked: nobody has it.
    rig.snapshot.instances[1].available = Ok(());
    rig.policy(2).allowed_tools = Some(Vec::new());
    rig.apply();
    let (code, message, _) = told("write").await;
    assert_eq!(code, json!(-32602));
    assert_eq!(message, "unknown tool: write");
}

#[tokio::test]
async fn in_search_mode_a_tool_that_nobody_listed_is_found_by_its_name() {
    let good = Scripted::with_tools(&["echo"]).await;
    let dead = dead_url().await;
    let (mut rig, agent) = Rig::linked(&[("good", &good.url), ("files", &dead)]).await;
    rig.snapshot.agents[0].search = true;
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    wire.tool("echo", json!({})).await.result();
    let call = json!({"name": "read", "arguments": {}});
    let reply = wire.tool("call_tool", call).await;
    assert_eq!(reply.code(), -32603, "{}", reply.body);
    assert!(reply.body.contains("files: "), "{}", reply.body);
}
