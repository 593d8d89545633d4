//! Requests that make no sense: a clear answer each, and nothing started.

use agentopia_domain::Ambient;
use agentopia_domain::InstanceId;
use agentopia_dtma::mcp::DataPathConfig;
use agentopia_mcp::Limits;
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, call, initialize, modern};

#[tokio::test]
async fn each_is_refused_in_its_own_way_and_no_process_is_started() {
    let limits = Limits {
        max_bytes: 1000,
        ..Limits::default()
    };
    let bench = Bench::with(DataPathConfig {
        limits,
        ..DataPathConfig::default()
    })
    .await;
    let id = bench.echo().await;
    let own = id.to_string();
    let stranger: InstanceId = Ambient::system().new_id();
    let stranger = stranger.to_string();
    let ping = json!({"jsonrpc":"2.0","id":1,"method":"ping"}).to_string();
    let long = call(1, "echo", &json!({"text": "x".repeat(2000)})).to_string();
    let key = "k".repeat(300);
    let stateless = modern(1, "echo", &json!({})).to_string();
    let no_headers: &[(&str, &str)] = &[];
    let cases = [
        (
            "POST",
            &own,
            no_headers,
            "{",
            StatusCode::BAD_REQUEST,
            "-32700",
        ),
        (
            "POST",
            &own,
            no_headers,
            "",
            StatusCode::BAD_REQUEST,
            "-32700",
        ),
        (
            "POST",
            &own,
            no_headers,
            "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
            StatusCode::BAD_REQUEST,
            "-32600",
        ),
        (
            "POST",
            &own,
            no_headers,
            "[]",
            StatusCode::BAD_REQUEST,
            "-32600",
        ),
        (
            "POST",
            &own,
            no_headers,
            &ping,
            StatusCode::BAD_REQUEST,
            "initialize",
        ),
        (
            "POST",
            &own,
            no_headers,
            &long,
            StatusCode::PAYLOAD_TOO_LARGE,
            "message_too_large",
        ),
        (
            "POST",
            &own,
            &[("mcp-session-id", "nonsense")],
            &ping,
            StatusCode::NOT_FOUND,
            "session_not_found",
        ),
        (
            "POST",
            &own,
            &[("agentopia-session-key", &key)],
            &stateless,
            StatusCode::BAD_REQUEST,
            "invalid_session_key",
        ),
        (
            "GET",
            &own,
            no_headers,
            "",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            "DELETE",
            &own,
            no_headers,
            "",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            "PUT",
            &own,
            no_headers,
            "",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            "POST",
            &stranger,
            no_headers,
            &ping,
            StatusCode::NOT_FOUND,
            "instance_not_found",
        ),
    ];
    for (method, instance, headers, body, status, word) in cases {
        let answer = bench
            .send(method, instance, headers, Body::from(body.to_owned()))
            .await;
        assert_eq!(answer.status, status, "{method} {body}: {answer:?}");
        assert!(answer.body.contains(word), "{method} {body}: {answer:?}");
    }
    let unknown = bench
        .send("POST", "not-an-id", &[], initialize().to_string())
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(bench.path.processes(id), 0);
}
