//! How sessions begin, and with whom they do not.

use std::time::Duration;

use agentopia_bridge::sse::OpenError;
use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, LARGEST, initialize};
use crate::far::Far;

async fn refused(far: &Far) -> OpenError {
    let bench = Bench::of(far);
    let error = bench.post(None, &initialize()).await.unwrap_err();
    assert_eq!(
        bench.hub.sessions(bench.instance),
        0,
        "its room is free again"
    );
    error
}

#[tokio::test]
async fn a_server_that_names_no_endpoint_is_given_up() {
    let far = Far::saying(": hello\n\n").await;
    let error = refused(&far).await;
    assert_eq!(error, OpenError::Silent(Duration::from_millis(500)));
    assert!(error.to_string().contains("named no endpoint within 0.5 s"));
    far.streams_become(0).await;
}

#[tokio::test]
async fn an_endpoint_of_another_server_is_refused_and_nothing_is_sent_to_it() {
    let elsewhere = Far::start().await;
    let port = elsewhere.address.port();
    for endpoint in [
        format!("http://{}/message", elsewhere.address),
        format!("//{}/message", elsewhere.address),
        format!("http://localhost:{port}/message"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://127.0.0.1/message".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let far = Far::saying(&format!("event: endpoint\ndata: {endpoint}\n\n")).await;
        let error = refused(&far).await;
        assert_eq!(error, OpenError::Foreign(endpoint));
        assert!(error.to_string().contains("that is not its own"));
    }
    let mut elsewhere = elsewhere;
    assert!(elsewhere.heard_nothing());
}

#[tokio::test]
async fn a_hostile_endpoint_is_shown_short_and_without_control_characters() {
    let long = format!("http://evil.example/\u{7}{}", "a".repeat(5000));
    let far = Far::saying(&format!("event: endpoint\ndata: {long}\n\n")).await;
    let OpenError::Foreign(shown) = refused(&far).await else {
        panic!("it was taken");
    };
    assert!(shown.len() <= 100 && !shown.contains('\u{7}'), "{shown}");
}

#[tokio::test]
async fn what_is_no_such_server_is_told() {
    let far = Far::with("no", "text/plain", StatusCode::NOT_FOUND).await;
    let error = refused(&far).await;
    assert_eq!(error, OpenError::Status(StatusCode::NOT_FOUND));
    let far = Far::with("<html>", "text/html", StatusCode::OK).await;
    assert_eq!(refused(&far).await, OpenError::NoStream);
    let message = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n";
    let giant = format!("event: endpoint\ndata: /{}\n\n", "a".repeat(2 * LARGEST));
    for (first, why) in [(message, "a message came first"), (&giant, "larger than")] {
        let far = Far::saying(first).await;
        let error = refused(&far).await.to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn only_initialize_opens_a_session() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let answer = bench.post(None, &ping).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.error().contains("send initialize first"));
    let modern = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}}});
    let answer = bench.post(None, &modern).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = bench.post(Some("made-up"), &ping).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = bench.send(http::Method::GET, None, String::new()).await;
    assert_eq!(answer.unwrap().status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(far.heard_nothing() && far.open() == 0);
}

#[tokio::test]
async fn a_server_that_refuses_initialize_keeps_no_session() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let opening = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.post(None, &initialize()).await.unwrap() })
    };
    let asked = far.asked().await;
    far.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32603, "message": "no API key"}}));
    let answer = opening.await.unwrap();
    assert_eq!(
        (answer.error().as_str(), answer.session),
        ("no API key", None)
    );
}
