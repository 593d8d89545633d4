//! A client that goes away or cancels is heard upstream (rule 15).

use std::time::Duration;

use agentopia_gateway::CallOutcome;
use serde_json::json;
use tokio::time::Instant;

use super::forever;
use crate::rig::Rig;
use crate::scripted::{Scripted, session_server};

#[tokio::test]
async fn rule_15_a_client_that_goes_away_cancels_upstream_within_a_second() {
    for streams in [false, true] {
        let server = Scripted::start(move |seen| async move {
            match seen.method() {
                "tools/call" if streams => {
                    let head = json!({"jsonrpc": "2.0", "method": "notifications/message",
                        "params": {"level": "info", "data": "working"}});
                    let first = futures::stream::iter([Ok::<_, std::convert::Infallible>(
                        format!("data: {head}\n\n"),
                    )]);
                    let body = futures::StreamExt::chain(first, futures::stream::pending());
                    let mut response =
                        axum::response::Response::new(axum::body::Body::from_stream(body));
                    response
                        .headers_mut()
                        .insert("content-type", "text/event-stream".parse().unwrap());
                    response
                }
                "tools/call" => forever().await,
                _ => session_server(&seen, &["slow"]),
            }
        })
        .await;
        let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
        let wire = rig.wire(&agent).opened().await;
        wire.tools().await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "slow", "arguments": {}}});
        let request = wire.posting(call.to_string());
        let pending = tokio::spawn(async move { request.send().await.unwrap().text().await });
        server
            .until("the call", |s| s.iter().any(|s| s.method() == "tools/call"))
            .await;
        let number = server.of("tools/call")[0].id().clone();
        let left = Instant::now();
        pending.abort();
        server
            .until("the cancellation", |seen| {
                seen.iter().any(|s| {
                    s.method() == "notifications/cancelled"
                        && s.body["params"]["requestId"] == number
                })
            })
            .await;
        assert!(
            left.elapsed() < Duration::from_secs(1),
            "{streams} {:?}",
            left.elapsed()
        );
        assert_eq!(
            rig.records.at_least(1).await[0].outcome,
            CallOutcome::Cancelled
        );
    }
}

#[tokio::test]
async fn rule_15_a_client_that_cancels_is_heard_upstream() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => forever().await,
            _ => session_server(&seen, &["slow"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let calling = wire.clone();
    let call = tokio::spawn(async move { calling.tool("slow", json!({})).await });
    server
        .until("the call", |s| s.iter().any(|s| s.method() == "tools/call"))
        .await;
    let number = server.of("tools/call")[0].id().clone();
    let note =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(wire.post(note.to_string()).await.status, 202);
    server
        .until("the cancellation", |seen| {
            seen.iter().any(|s| {
                s.method() == "notifications/cancelled" && s.body["params"]["requestId"] == number
            })
        })
        .await;
    let ended = call.await.unwrap();
    assert_eq!(
        (ended.status, ended.messages().len()),
        (200, 0),
        "a cancelled call has no answer"
    );
}
