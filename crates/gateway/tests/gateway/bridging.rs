//! Clients of one era with servers of the other.

use serde_json::{Value, json};

use crate::rig::Rig;
use crate::scripted::{
    Scripted, Seen, events, initialized, modern_server, result, session_server, status,
};

#[tokio::test]
async fn a_session_era_client_uses_a_modern_server() {
    let server = Scripted::start(|seen: Seen| async move {
        match seen.method() {
            "initialize" => {
                let mut refused = crate::scripted::error(&seen, -32022, "unsupported");
                *refused.status_mut() = http::StatusCode::BAD_REQUEST;
                refused
            }
            "tools/list" => result(
                &seen,
                json!({"resultType": "complete", "ttlMs": 1, "cacheScope": "public",
                "tools": [{"name": "echo", "inputSchema": {"type": "object", "properties":
                    {"region": {"type": "string", "x-mcp-header": "Region"}}}}]}),
            ),
            _ => modern_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let mut wire = rig.wire(&agent);
    wire.initialize("2025-06-18", json!({"elicitation": {}, "x": {"y": 1.50}}))
        .await;
    wire.call("logging/setLevel", json!({"level": "debug"}))
        .await
        .result();
    assert_eq!(wire.tools().await, ["echo"]);
    let reply = wire.tool("echo", json!({"region": "eu"})).await;
    assert_eq!(
        reply.body,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"region\":\"eu\"}"}]}}"#
    );
    let arrived = &server.of("tools/call")[0];
    let meta = &arrived.body["params"]["_meta"];
    assert_eq!(
        meta["io.modelcontextprotocol/protocolVersion"],
        "2026-07-28"
    );
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "wire");
    assert_eq!(
        meta["io.modelcontextprotocol/clientCapabilities"],
        json!({"elicitation": {}, "x": {"y": 1.5}})
    );
    assert_eq!(meta["io.modelcontextprotocol/logLevel"], "debug");
    assert_eq!(arrived.headers["mcp-method"], "tools/call");
    assert_eq!(arrived.headers["mcp-name"], "echo");
    assert_eq!(arrived.headers["mcp-param-region"], "eu");
    assert!(!arrived.headers.contains_key("mcp-session-id"));
    assert_eq!(server.of("initialize").len(), 1, "the era is learnt once");
    rig.wire(&agent).opened().await.tools().await;
    assert_eq!(server.of("initialize").len(), 1, "also for other sessions");

    let instance = rig.wire_to(rig.snapshot.instances[0].id, &agent.token);
    let mut own = instance.clone();
    let hello = own.initialize("2025-06-18", json!({})).await.result();
    assert_eq!(
        (&hello["protocolVersion"], &hello["serverInfo"]["name"]),
        (&json!("2025-06-18"), &json!("modern"))
    );
    own.tool("echo", json!({"a": 1})).await.result();
}

#[tokio::test]
async fn a_modern_client_uses_a_session_era_server() {
    let server = Scripted::start(|seen: Seen| async move {
        match (seen.http.as_str(), seen.method()) {
            ("POST", "initialize") => initialized(&seen, json!({"tools": {}, "resources": {}, "prompts": {}})),
            ("POST", "tools/call") => events(&[
                json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}}),
                json!({"jsonrpc": "2.0", "method": "notifications/progress",
                    "params": {"progressToken": seen.body["params"]["_meta"]["progressToken"], "progress": 1}}),
                json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"content": [], "_meta": {"own": 1}}}),
            ]),
            ("POST", "resources/list") => result(&seen, json!({"resources": [{"uri": "a:1", "name": "a"}]})),
            ("POST", "resources/read") => result(&seen, json!({"contents": []})),
            ("POST", "prompts/list") => result(&seen, json!({"prompts": [{"name": "p"}]})),
            ("POST", "prompts/get") => result(&seen, json!({"messages": []})),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent);
    let params =
        json!({"name": "echo", "arguments": {}, "_meta": {"progressToken": "p", "own": 2}});
    let reply = wire.modern_call("tools/call", params.clone()).await;
    let messages = reply.messages();
    assert_eq!(messages.len(), 2, "no log was asked for: {messages:?}");
    let progress: Value = serde_json::from_str(&messages[0]).unwrap();
    assert_eq!(progress["params"]["progressToken"], "p");
    let called = reply.result();
    assert_eq!(called["resultType"], "complete");
    assert_eq!(called["_meta"]["own"], 1);
    assert_eq!(
        called["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "scripted"
    );
    let arrived = &server.of("tools/call")[0];
    let meta = arrived.body["params"]["_meta"].as_object().unwrap();
    assert_eq!(meta.keys().collect::<Vec<_>>(), ["progressToken", "own"]);
    assert_eq!(arrived.session(), Some("scripted-session"));
    assert_eq!(arrived.headers["mcp-protocol-version"], "2025-11-25");
    assert!(!arrived.headers.contains_key("mcp-method"));

    let mut with_log = params;
    with_log["_meta"]["io.modelcontextprotocol/logLevel"] = "info".into();
    assert_eq!(
        wire.modern_call("tools/call", with_log)
            .await
            .messages()
            .len(),
        3
    );

    let read = wire
        .modern_call("resources/read", json!({"uri": "a:1"}))
        .await
        .result();
    assert_eq!(
        (&read["ttlMs"], &read["cacheScope"]),
        (&json!(0), &json!("private"))
    );
    let got = wire
        .modern_call("prompts/get", json!({"name": "p"}))
        .await
        .result();
    assert_eq!(
        (&got["resultType"], got.get("ttlMs")),
        (&json!("complete"), None)
    );
    assert_eq!(
        server.of("initialize").len(),
        1,
        "one upstream session for the same client"
    );
    assert_eq!(server.of("server/discover").len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_a_modern_client_is_told_that_it_can_not() {
    let server = Scripted::start(|seen: Seen| async move {
        match seen.method() {
            "tools/call" => events(&[
                json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}}),
                json!({"jsonrpc": "2.0", "id": "alive", "method": "ping"}),
                json!({"jsonrpc": "2.0", "id": seen.id(), "result": {"content": []}}),
            ]),
            "" if seen.body.get("error").is_some() || seen.body.get("result").is_some() => {
                status(202)
            }
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent);
    let call = wire.modern_as("tools/call", json!({"name": "echo"}), json!({}));
    assert_eq!(wire.send(call).await.messages().len(), 1);
    server
        .until("the refusal", |seen| {
            seen.iter()
                .any(|s| *s.id() == "q" && s.body["error"]["code"] == -32601)
                && seen
                    .iter()
                    .any(|s| *s.id() == "alive" && s.body["result"].is_object())
        })
        .await;
    assert_eq!(
        server.of("initialize")[0].body["params"]["capabilities"],
        json!({})
    );
}

#[tokio::test]
async fn rule_12_a_client_is_asked_only_what_it_declared() {
    let server = Scripted::start(|seen: Seen| async move {
        match seen.method() {
            "tools/call" => result(
                &seen,
                json!({"resultType": "input_required", "requestState": "s", "inputRequests":
                    {"q": {"method": "elicitation/create", "params": {}}}}),
            ),
            _ => modern_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    let reply = wire.tool("echo", json!({})).await;
    assert_eq!(reply.code(), -32603);
    assert!(reply.body.contains("did not declare"), "{}", reply.body);
    // A modern client gets the question itself.
    let asked = rig
        .wire(&agent)
        .modern_call("tools/call", json!({"name": "echo"}))
        .await;
    assert_eq!(asked.result()["resultType"], "input_required");
}
