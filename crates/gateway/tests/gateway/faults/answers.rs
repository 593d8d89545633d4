//! Answers that are too large, that are garbage, or that mean "not now".

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentopia_domain::Ambient;
use agentopia_gateway::GatewayConfig;
use serde_json::json;

use crate::rig::Rig;
use crate::scripted::{Scripted, events, initialized, result, session_server, status};

#[tokio::test]
async fn answers_that_are_too_large_end_the_call_alone() {
    // Below and above the size from which answers are streamed.
    for limit in [60 << 10, 200 << 10] {
        too_large_an_answer(limit).await;
    }
}

async fn too_large_an_answer(limit: usize) {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => result(&seen, json!({"f": "x".repeat(1 << 20)})),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let config = GatewayConfig {
        max_upstream_message_bytes: limit,
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, Ambient::system()).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    assert_eq!(wire.tool("echo", json!({})).await.code(), -32603);
    let call = json!({"name": "echo", "arguments": {}});
    let refused = wire.modern_call("tools/call", call).await;
    assert_eq!(refused.code(), -32603);
    assert_eq!(wire.tools().await, ["echo"]);
}

#[tokio::test]
async fn garbage_between_messages_is_left_out() {
    let server = Scripted::start(|seen| async move {
        let answer = json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"content": []}});
        match seen.method() {
            "tools/call" => events(&[
                json!("no message"),
                json!({"jsonrpc": "1.0", "id": 5}),
                json!({"jsonrpc": "2.0", "id": 12345, "result": {"content": "another's"}}),
                answer,
            ]),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let reply = wire.tool("echo", json!({})).await;
    assert_eq!(reply.messages().len(), 1);
    assert_eq!(reply.result()["content"], json!([]));
}

#[tokio::test]
async fn an_initialize_that_fails_for_now_teaches_nothing() {
    let tries = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start(move |seen| {
        let tries = tries.clone();
        async move {
            if seen.method() == "initialize" && tries.fetch_add(1, Ordering::SeqCst) == 0 {
                return status(503);
            }
            if seen.method() == "initialize" {
                return initialized(&seen, json!({"tools": {}}));
            }
            session_server(&seen, &["echo"])
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.tools().await, Vec::<String>::new());
    assert_eq!(wire.tools().await, ["echo"]);
}
