//! Limits, idle sessions and room for new ones.

use std::time::Duration;

use agentopia_dtma::mcp::DataPathConfig;
use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::bench::{Bench, call, initialize};
use crate::support::wait_for;

#[tokio::test]
async fn beyond_the_limit_clients_are_told_to_wait() {
    let config = DataPathConfig {
        most_processes: 2,
        ..DataPathConfig::default()
    };
    let bench = Bench::with(config).await;
    let (id, other) = (bench.echo().await, bench.echo().await);
    let first = bench.initialize(id).await;
    bench.initialize(id).await;
    let refused = bench.post(id, &[], &initialize()).await;
    assert_eq!(
        (refused.status, refused.json()["code"].clone()),
        (StatusCode::TOO_MANY_REQUESTS, json!("too_many_sessions"))
    );
    bench.initialize(other).await;
    bench
        .send(
            "DELETE",
            &id.to_string(),
            &[("mcp-session-id", &first)],
            Body::empty(),
        )
        .await;
    wait_for("room", || async {
        (bench.path.processes(id) == 1).then_some(())
    })
    .await;
    bench.initialize(id).await;
}

#[tokio::test]
async fn the_session_that_was_idle_longest_makes_room() {
    let config = DataPathConfig {
        most_processes: 2,
        evict_after: Duration::ZERO,
        ..DataPathConfig::default()
    };
    let bench = Bench::with(config).await;
    let id = bench.echo().await;
    let old = bench.initialize(id).await;
    let kept = bench.initialize(id).await;
    bench.initialize(id).await;
    let post = |session: String| {
        let bench = &bench;
        async move {
            bench
                .post(
                    id,
                    &[("mcp-session-id", &session)],
                    &call(1, "echo", &json!({"text": "x"})),
                )
                .await
                .status
        }
    };
    assert_eq!(post(old).await, StatusCode::NOT_FOUND);
    assert_eq!(post(kept).await, StatusCode::OK);
}

#[tokio::test]
async fn idle_sessions_are_closed_and_those_that_listen_are_not() {
    let config = DataPathConfig {
        idle: Duration::from_millis(300),
        ..DataPathConfig::default()
    };
    let bench = Bench::with(config).await;
    let id = bench.echo().await;
    let listening = bench.initialize(id).await;
    let headers = [("mcp-session-id", listening.as_str())];
    let mut stream = bench
        .open("GET", &id.to_string(), &headers, Body::empty())
        .await
        .into_body();
    stream.frame().await.unwrap().unwrap();
    let idle = bench.initialize(id).await;
    wait_for("the idle session to end", || async {
        (bench.path.processes(id) == 1).then_some(())
    })
    .await;
    let gone = bench
        .post(
            id,
            &[("mcp-session-id", &idle)],
            &call(1, "echo", &json!({"text": "x"})),
        )
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let alive = bench
        .post(id, &headers, &call(1, "echo", &json!({"text": "x"})))
        .await;
    assert_eq!(alive.status, StatusCode::OK);
}
