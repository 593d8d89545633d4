//! HTTP servers behind the data path.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::catalog::Transport;
use agentopia_dtma::health;
use agentopia_dtma::mcp::DataPathConfig;
use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, call, initialize, modern};

/// The runtime chooses the port.
async fn http_echo(bench: &Bench) -> InstanceId {
    let id = bench
        .tool(|spec| {
            let arguments = ["--http".into(), "127.0.0.1:{port}".into()];
            spec.program.process.extend(arguments);
            spec.transport = Transport::StreamableHttp {
                port: 8080,
                path: "/mcp".into(),
            };
        })
        .await;
    let tool = bench.runtime.tool(id).await.unwrap();
    health::probe(&tool, Duration::from_secs(20)).await.unwrap();
    id
}

#[tokio::test]
async fn sessions_and_streams_pass_through() {
    let bench = Bench::with(DataPathConfig::default()).await;
    let id = http_echo(&bench).await;
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let answer = bench.post(id, &headers, &initialize()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let session = answer.session.expect("the server's own session id");
    let mut headers = headers.to_vec();
    headers.push(("mcp-session-id", &session));
    let done = bench
        .post(
            id,
            &headers,
            &json!({"jsonrpc":"2.0","method":"notifications/initialized"}),
        )
        .await;
    assert_eq!(done.status, StatusCode::ACCEPTED);
    let mut slow = call(7, "sleep_ms", &json!({"ms": 300}));
    slow["params"]["_meta"] = json!({"progressToken": "mine"});
    let events = bench.post(id, &headers, &slow).await.events();
    assert_eq!(events[0]["params"]["progressToken"], "mine");
    assert_eq!(events.last().unwrap()["id"], 7);
    assert_eq!(bench.path.processes(id), 0, "no stdio process is involved");
}

#[tokio::test]
async fn the_modern_era_passes_through() {
    let bench = Bench::new().await;
    let id = http_echo(&bench).await;
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
        ("authorization", "Bearer for-the-dtma"),
        ("agentopia-session-key", "k"),
    ];
    let answer = bench
        .post(
            id,
            &headers,
            &modern("x", "echo", &json!({"text": "through"})),
        )
        .await;
    assert!(answer.body.contains("through"), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_a_clear_error() {
    let bench = Bench::new().await;
    let id = bench
        .tool(|spec| {
            spec.program.process = vec!["/bin/sleep".into(), "600".into()];
            spec.transport = Transport::StreamableHttp {
                port: 8080,
                path: "/mcp".into(),
            };
        })
        .await;
    let answer = bench.post(id, &[], &initialize()).await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (StatusCode::BAD_GATEWAY, json!("tool_unreachable"))
    );
}
