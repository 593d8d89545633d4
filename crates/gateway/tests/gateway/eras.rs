//! Both eras on one URL: rules 1 to 4, and what belongs to sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::rig::Rig;
use crate::scripted::{Scripted, modern_server, session_server};
use crate::wire::names;

#[tokio::test]
async fn rule_01_one_url_serves_both_eras() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent);

    let modern = wire.modern_call("tools/list", json!({})).await;
    assert_eq!(names(&modern.result()["tools"]), ["echo"]);
    assert!(!modern.headers.contains_key("mcp-session-id"));
    assert_eq!(rig.gateway.counts().sessions, 0);

    let session = wire.clone().opened().await;
    assert_eq!(session.tools().await, ["echo"]);
    assert_eq!(rig.gateway.counts().sessions, 1);

    let called = wire
        .modern_call("tools/call", json!({"name": "echo", "arguments": {"a": 1}}))
        .await;
    assert_eq!(called.result()["content"][0]["text"], "echo {\"a\":1}");
    assert_eq!(called.result()["resultType"], "complete");
    let called = session.tool("echo", json!({"a": 2})).await;
    assert_eq!(called.result()["content"][0]["text"], "echo {\"a\":2}");
    assert_eq!(called.result().get("resultType"), None);
}

#[tokio::test]
async fn rule_02_discover_names_the_modern_version_whatever_the_servers_are() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let instance = rig.snapshot.instances[0].id;
    for wire in [rig.wire(&agent), rig.wire_to(instance, &agent.token)] {
        let result = wire
            .modern_call("server/discover", json!({}))
            .await
            .result();
        let versions = result["supportedVersions"].as_array().unwrap();
        assert!(versions.contains(&json!("2026-07-28")), "{result}");
        assert_eq!(result["resultType"], "complete");
        assert!(result["capabilities"]["tools"].is_object());
        assert!(result["ttlMs"].is_u64());
        assert_eq!(result["cacheScope"], "private");
    }
}

#[tokio::test]
async fn rule_03_bad_headers_are_refused_before_any_upstream_traffic() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent);
    let call = || wire.modern("tools/call", json!({"name": "echo", "arguments": {}}));
    let build = |request: reqwest::RequestBuilder| request.build().unwrap();
    let mut cases = Vec::new();
    for header in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        let mut missing = build(call());
        missing.headers_mut().remove(header);
        cases.push((header, missing));
        let mut double = build(call());
        let value = double.headers()[header].clone();
        double.headers_mut().append(header, value);
        cases.push((header, double));
        let mut other = build(call());
        // For the version, one that is known but not the body's is a mismatch as well.
        other
            .headers_mut()
            .insert(header, "2025-11-25".parse().unwrap());
        cases.push((header, other));
    }
    let mut invalid = build(call());
    invalid
        .headers_mut()
        .insert("mcp-name", "=?base64?%%?=".parse().unwrap());
    cases.push(("mcp-name", invalid));
    for (header, request) in cases {
        let reply = wire
            .send(reqwest::RequestBuilder::from_parts(
                rig.http.clone(),
                request,
            ))
            .await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, -32020),
            "{header}: {}",
            reply.body
        );
    }
    assert!(server.seen().is_empty());
    assert_eq!(wire.send(call()).await.status, 200);
}

#[tokio::test]
async fn rule_04_versions_methods_and_meta() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent);

    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2099-01-01",
        "io.modelcontextprotocol/clientCapabilities": {}}}});
    let unsupported = wire
        .posting(body.to_string())
        .header("mcp-protocol-version", "2099-01-01")
        .header("mcp-method", "tools/list");
    let reply = wire.send(unsupported).await;
    assert_eq!((reply.status, reply.code()), (400, -32022));
    let supported = &reply.answer()["error"]["data"]["supported"];
    assert!(supported.as_array().unwrap().contains(&json!("2026-07-28")));

    for method in ["tools/dance", "ping", "logging/setLevel", "initialized"] {
        let reply = wire.modern_call(method, json!({})).await;
        assert_eq!((reply.status, reply.code()), (404, -32601), "{method}");
    }

    for meta in [
        json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"}),
        json!({"io.modelcontextprotocol/clientCapabilities": {}}),
        json!({}),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list",
            "params": {"_meta": meta}});
        let request = wire
            .posting(body.to_string())
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/list");
        let reply = wire.send(request).await;
        assert_eq!((reply.status, reply.code()), (400, -32602), "{meta}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn get_and_delete_mean_nothing_to_modern_clients() {
    let (rig, agent) = Rig::linked(&[]).await;
    let wire = rig.wire(&agent);
    for method in [http::Method::GET, http::Method::DELETE] {
        let request = wire
            .request(method)
            .header("mcp-protocol-version", "2026-07-28");
        let reply = wire.send(request).await;
        assert_eq!(reply.status, 405);
        assert_eq!(reply.headers["allow"], "POST");
    }
    let reply = wire.send(wire.request(http::Method::PUT)).await;
    assert_eq!(reply.status, 405);
}

#[tokio::test]
async fn every_revision_with_sessions_is_agreed_on() {
    let (rig, agent) = Rig::linked(&[]).await;
    for (asked, wanted) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let mut wire = rig.wire(&agent);
        let result = wire.initialize(asked, json!({})).await.result();
        assert_eq!(result["protocolVersion"], wanted);
        assert_eq!(result["instructions"], "Be kind.");
        assert_eq!(result["serverInfo"]["title"], "Test agent");
    }
}

#[tokio::test]
async fn a_session_ends_when_its_client_says_so_and_is_not_known_after() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.call("ping", json!({})).await.result(), json!({}));
    assert_eq!(wire.tools().await, ["echo"]);
    let reply = wire.send(wire.request(http::Method::DELETE)).await;
    assert_eq!(reply.status, 204);
    assert_eq!(wire.call("ping", json!({})).await.status, 404);
    assert_eq!(wire.send(wire.request(http::Method::GET)).await.status, 404);
    server
        .until("the goodbye", |seen| {
            seen.iter()
                .any(|s| s.http == "DELETE" && s.session() == Some("scripted-session"))
        })
        .await;
}

#[tokio::test]
async fn session_headers_are_checked() {
    let (rig, agent) = Rig::linked(&[]).await;
    let wire = rig.wire(&agent);
    assert_eq!(wire.call("ping", json!({})).await.status, 400, "no session");
    let opened = wire.clone().opened().await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let with = |version: &str| opened.posting(ping).header("mcp-protocol-version", version);
    assert_eq!(opened.send(with("2025-06-18")).await.status, 200);
    assert_eq!(opened.send(with("2024-99-99")).await.status, 400);
    let mut forged = opened.clone();
    forged.session = Some("forged".into());
    assert_eq!(forged.call("ping", json!({})).await.status, 404);
}

#[tokio::test]
async fn batches_belong_to_their_revision() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let mut old = rig.wire(&agent);
    old.initialize("2025-03-26", json!({})).await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": "a", "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": "b", "method": "tools/call",
            "params": {"name": "echo", "arguments": {"n": 1}}},
    ]);
    let reply = old.post(batch.to_string()).await;
    let answers = reply.answer();
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(
        (&answers[0]["id"], &answers[1]["id"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!(answers[1]["result"]["content"][0]["text"], "echo {\"n\":1}");
    let only_notes = json!([{"jsonrpc": "2.0", "method": "notifications/x"}]);
    assert_eq!(old.post(only_notes.to_string()).await.status, 202);
    let new = rig.wire(&agent).opened().await;
    assert_eq!(new.post(batch.to_string()).await.status, 400);
}

#[tokio::test]
async fn rule_14_a_restarted_server_is_probed_again() {
    let is_modern = Arc::new(AtomicBool::new(true));
    let era = is_modern.clone();
    let server = Scripted::start(move |seen| {
        let answer = if era.load(Ordering::Relaxed) {
            modern_server(&seen, &["echo"])
        } else {
            session_server(&seen, &["echo"])
        };
        async move { answer }
    })
    .await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    // A modern client, which a server is asked for its own era first.
    let wire = rig.wire(&agent);
    let params = json!({"name": "echo", "arguments": {"a": 1}});
    let call = async || {
        wire.modern_call("tools/call", params.clone())
            .await
            .result()
    };
    for _ in 0..2 {
        call().await;
    }
    assert!(
        server.of("initialize").is_empty(),
        "it spoke the modern era"
    );
    assert_eq!(
        server.of("server/discover").len(),
        1,
        "one probe for a life"
    );

    // Its next life begins with a version that speaks the other era, and back again.
    for (modern, epoch) in [(false, "2"), (true, "3")] {
        is_modern.store(modern, Ordering::Relaxed);
        let probes = server.of("server/discover").len();
        rig.snapshot.instances[0].epoch = epoch.into();
        rig.apply();
        for _ in 0..2 {
            call().await;
        }
        assert_eq!(server.of("server/discover").len(), probes + 1);
        let last = server.of("tools/call").pop().unwrap();
        assert_eq!(
            last.session().is_some(),
            !modern,
            "in the era that it now speaks"
        );
    }
    assert_eq!(server.of("initialize").len(), 1);
}
