//! A server that speaks HTTP+SSE only, by its address: its secret goes with the stream and with every
//! message, and nothing goes where else it would like to have it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::installation::Installation;

#[derive(Clone)]
struct Old {
    endpoint: Arc<str>,
    token: Arc<Mutex<String>>,
    shown: Arc<Mutex<Vec<String>>>,
    streams: Arc<Mutex<Vec<mpsc::UnboundedSender<Bytes>>>>,
}

/// Starts one; where its stream is.
async fn start(endpoint: &str, token: &str) -> (String, Old) {
    let old = Old {
        endpoint: endpoint.into(),
        token: Arc::new(Mutex::new(token.to_owned())),
        shown: Arc::default(),
        streams: Arc::default(),
    };
    let router = Router::new()
        .route("/sse", get(stream))
        .route("/message", post(message))
        .fallback(fallback)
        .with_state(old.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, old)
}

impl Old {
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        self.shown.lock().push(format!("{headers:?}"));
        let shown = headers.get("authorization");
        shown.is_some_and(|shown| shown == &format!("Bearer {}", self.token.lock()))
    }
}

async fn fallback(State(old): State<Old>, request: Request) -> StatusCode {
    old.lets_in(request.headers());
    StatusCode::METHOD_NOT_ALLOWED
}

async fn stream(State(old): State<Old>, headers: HeaderMap) -> Response {
    if !old.lets_in(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (to, mut events) = mpsc::unbounded_channel();
    let first = format!("event: endpoint\ndata: {}\n\n", old.endpoint);
    to.send(Bytes::from(first)).unwrap();
    old.streams.lock().push(to);
    let body = Body::from_stream(futures::stream::poll_fn(move |context| {
        events
            .poll_recv(context)
            .map(|event| event.map(Ok::<_, Infallible>))
    }));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn message(State(old): State<Old>, headers: HeaderMap, body: String) -> StatusCode {
    if !old.lets_in(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    let message: Value = serde_json::from_str(&body).unwrap();
    let result = match message["method"].as_str().unwrap() {
        "initialize" => json!({"protocolVersion": "2024-11-05", "capabilities": {"tools": {}},
            "serverInfo": {"name": "old", "version": "1"}}),
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
        "tools/call" => json!({"content": [{"type": "text", "text": "from the old days"}]}),
        _ => json!({}),
    };
    if !message["id"].is_null() {
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let event = Bytes::from(format!("event: message\ndata: {answer}\n\n"));
        // To all: those who did not ask drop it, or it is theirs by chance of the same number, which one
        // client at a time rules out.
        old.streams
            .lock()
            .retain(|stream| stream.send(event.clone()).is_ok());
    }
    StatusCode::ACCEPTED
}

#[tokio::test]
async fn an_http_sse_server_is_called_with_its_secret() {
    let (url, old) = start("/message", "first-value").await;
    let at = Installation::start().await;
    at.put("/secrets/far-token", json!({"value": "first-value"}))
        .await;
    let body = json!({"catalog": "remote-sse", "url": url, "secrets": {"TOKEN": "far-token"}});
    let made = at.post("/instances", body).await;
    let id = made["id"].as_str().unwrap();
    at.status_becomes(id, "running").await;

    let called = json!({"tool": "echo", "arguments": {}});
    let answer = at.post(&format!("/instances/{id}/call"), called).await;
    assert_eq!(answer["result"]["content"][0]["text"], "from the old days");
    let agent = at.agent_for(id).await;
    assert_eq!(agent.call("echo").await.unwrap(), "from the old days");
    let shown = old.shown.lock().clone();
    assert!(
        shown.iter().all(|headers| headers.contains("first-value")),
        "{shown:?}"
    );
    let private = |headers: &String| {
        headers.contains(&agent.token)
            || headers.contains("agentopia-session-key")
            || headers.contains("mcp-session-id")
    };
    assert!(!shown.iter().any(private), "{shown:?}");

    // A value that the server no longer takes is told, to the agent and to the owner.
    "second-value".clone_into(&mut old.token.lock());
    let error = agent.call("echo").await.unwrap_err();
    assert!(error.contains("check the secret TOKEN"), "{error}");
    at.post(&format!("/instances/{id}/restart"), json!(null))
        .await;
    at.status_becomes(id, "error_runtime").await;
    at.put("/secrets/far-token", json!({"value": "second-value"}))
        .await;
    at.status_becomes(id, "running").await;
    assert_eq!(agent.call("echo").await.unwrap(), "from the old days");

    // One that was stopped keeps no stream.
    at.post(&format!("/instances/{id}/stop"), json!(null)).await;
    at.status_becomes(id, "stopped").await;
    for _ in 0..250 {
        old.streams.lock().retain(|stream| !stream.is_closed());
        if old.streams.lock().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(old.streams.lock().len(), 0);
    at.stop().await;
}

#[tokio::test]
async fn a_server_that_names_an_endpoint_elsewhere_gets_nothing_sent_there() {
    let (elsewhere, thief) = start("/message", "never").await;
    let foreign = elsewhere.replace("/sse", "/message");
    let (url, _old) = start(&foreign, "value").await;
    let at = Installation::start().await;
    at.put("/secrets/far-token", json!({"value": "value"}))
        .await;
    let body = json!({"catalog": "remote-sse", "url": url, "secrets": {"TOKEN": "far-token"}});
    let made = at.post("/instances", body).await;
    let id = made["id"].as_str().unwrap();
    at.status_becomes(id, "error_runtime").await;
    let shown = at.get(&format!("/instances/{id}")).await;
    let said = shown["error_message"].as_str().unwrap();
    assert!(
        said.contains("names an endpoint that is not its own"),
        "{said}"
    );
    assert!(said.contains(&foreign), "{said}");
    let agent = at.agent_for(id).await;
    assert!(agent.call("echo").await.is_err());
    assert!(thief.shown.lock().is_empty(), "nothing came there");
    at.stop().await;
}

#[tokio::test]
async fn each_link_has_streams_with_its_own_secret() {
    let (url, old) = start("/message", "everybodys").await;
    let at = Installation::start().await;
    for name in ["everybodys", "of-one"] {
        at.put(&format!("/secrets/{name}"), json!({ "value": name }))
            .await;
    }
    let body = json!({"catalog": "remote-sse", "url": url, "secrets": {"TOKEN": "everybodys"}});
    let made = at.post("/instances", body).await;
    let id = made["id"].as_str().unwrap();
    at.status_becomes(id, "running").await;
    let (any, one) = (
        at.agent_called("any", id).await,
        at.agent_called("one", id).await,
    );
    let link = format!("/agents/{}/links/{id}", one.id);
    at.put(&link, json!({"secrets": {"TOKEN": "of-one"}})).await;
    // Whoever has the server's only key gets in, and nobody else, whoever got in before.
    for (taken, [any_in, one_in]) in [
        ("of-one", [false, true]),
        ("everybodys", [true, false]),
        ("of-one", [false, true]),
    ] {
        old.token.lock().replace_range(.., taken);
        assert_eq!(any.call("echo").await.is_ok(), any_in, "{taken}");
        assert_eq!(one.call("echo").await.is_ok(), one_in, "{taken}");
    }
    // A new value counts at once, and its stream is opened anew.
    old.token.lock().replace_range(.., "next");
    at.put("/secrets/of-one", json!({"value": "next"})).await;
    one.call("echo").await.unwrap();
    assert!(any.call("echo").await.is_err());
    let known = ["everybodys", "of-one", "next"].map(|value| format!("Bearer {value}"));
    for headers in &*old.shown.lock() {
        assert!(known.iter().any(|it| headers.contains(it)), "{headers}");
        assert!(!headers.contains("agentopia-link"), "{headers}");
    }
    at.stop().await;
}
