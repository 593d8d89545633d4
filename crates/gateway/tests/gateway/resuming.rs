//! Session-era clients whose connections break (resumability).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::rig::Rig;
use crate::scripted::{Scripted, session_server};
use crate::wire::{LAST_EVENT_ID, Stream, Wire};

/// A server whose one tool answers as it is told to.
struct Told {
    server: Scripted,
    say: mpsc::UnboundedSender<String>,
}

impl Told {
    async fn start() -> Self {
        let (say, said) = mpsc::unbounded_channel::<String>();
        let said = Arc::new(Mutex::new(Some(said)));
        let server = Scripted::start(move |seen| {
            let said = said.clone();
            async move {
                if seen.method() != "tools/call" {
                    return session_server(&seen, &["slow"]);
                }
                let said = said.lock().take().expect("one call");
                let id = seen.id().clone();
                let body = futures::stream::unfold(said, move |mut said| {
                    let id = id.clone();
                    async move {
                        let text = said.recv().await?;
                        let message = match text.strip_prefix("result ") {
                            Some(text) => {
                                json!({"jsonrpc": "2.0", "id": id, "result": {"text": text}})
                            }
                            None => note(&text),
                        };
                        Some((Ok::<_, Infallible>(format!("data: {message}\n\n")), said))
                    }
                });
                let mut response = Response::new(Body::from_stream(body));
                let kind = "text/event-stream".parse().unwrap();
                response.headers_mut().insert("content-type", kind);
                response
            }
        })
        .await;
        Self { server, say }
    }

    fn say(&self, text: &str) {
        self.say.send(text.to_owned()).unwrap();
    }

    fn was_cancelled(&self) -> bool {
        !self.server.of("notifications/cancelled").is_empty()
    }
}

fn note(text: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}})
}

fn text(message: &Value) -> &str {
    message["params"]["data"]
        .as_str()
        .or(message["result"]["text"].as_str())
        .unwrap()
}

/// Calls the tool, and hears its first word.
async fn called(told: &Told, wire: &Wire) -> Stream {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "slow", "arguments": {}}});
    told.say("one");
    let mut stream = wire.stream(wire.posting(call.to_string())).await;
    assert_eq!(text(&stream.next().await.unwrap()), "one");
    stream
}

fn again(wire: &Wire, after: &str) -> reqwest::RequestBuilder {
    wire.request(Method::GET).header(LAST_EVENT_ID, after)
}

async fn rest(mut stream: Stream) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = stream.next().await {
        texts.push(text(&message).to_owned());
    }
    texts
}

#[tokio::test]
async fn an_answer_goes_on_where_its_connection_broke() {
    let told = Told::start().await;
    let (rig, agent) = Rig::linked(&[("one", &told.server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let stream = called(&told, &wire).await;
    let after = stream.id.clone().unwrap();
    drop(stream);
    told.say("two");
    let mut stream = wire.stream(again(&wire, &after)).await;
    assert_eq!(text(&stream.next().await.unwrap()), "two");
    // Once more, before it is noticed that this connection broke.
    let after = stream.id.clone().unwrap();
    let newer = wire.stream(again(&wire, &after)).await;
    told.say("three");
    told.say("result done");
    assert_eq!(rest(newer).await, ["three", "done"]);
    assert!(rest(stream).await.is_empty(), "one connection reads");
    assert!(!told.was_cancelled());
}

#[tokio::test]
async fn an_answer_whose_end_was_lost_is_given_again() {
    let told = Told::start().await;
    let (rig, agent) = Rig::linked(&[("one", &told.server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let stream = called(&told, &wire).await;
    told.say("two");
    told.say("result done");
    assert_eq!(rest(stream).await, ["two", "done"]);
    let all = wire.stream(again(&wire, "1-0")).await;
    assert_eq!(rest(all).await, ["one", "two", "done"]);
    let end = wire.stream(again(&wire, "1-2")).await;
    assert_eq!(rest(end).await, ["done"]);
    let nothing = wire.stream(again(&wire, "1-3")).await;
    assert!(rest(nothing).await.is_empty());
    for unknown in ["2-1", "1-4", "x", "1", "-"] {
        let refused = wire.send(again(&wire, unknown)).await;
        assert_eq!(refused.status, 400, "{unknown}: {}", refused.body);
    }
    let other = rig.wire(&agent).opened().await;
    let refused = other.send(again(&other, "1-0")).await;
    assert_eq!(refused.status, 400, "another session's stream");
}

#[tokio::test]
async fn a_request_that_can_not_be_met_takes_nothing_away() {
    let told = Told::start().await;
    let (rig, agent) = Rig::linked(&[("one", &told.server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let stream = called(&told, &wire).await;
    let refused = wire.send(again(&wire, "1-9")).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    told.say("result done");
    assert_eq!(rest(stream).await, ["done"]);
}

#[tokio::test]
async fn whoever_comes_back_too_late_is_told_so() {
    let told = Told::start().await;
    let (rig, agent) = Rig::linked(&[("one", &told.server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let stream = called(&told, &wire).await;
    let after = stream.id.clone().unwrap();
    drop(stream);
    told.server
        .until("the cancellation", |seen| {
            seen.iter().any(|s| s.method() == "notifications/cancelled")
        })
        .await;
    let refused = wire.send(again(&wire, &after)).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("anew"), "{}", refused.body);
}

#[tokio::test]
async fn only_clients_that_know_it_get_an_empty_event_first() {
    for (version, primed) in [("2025-06-18", false), ("2025-11-25", true)] {
        let told = Told::start().await;
        let (rig, agent) = Rig::linked(&[("one", &told.server.url)]).await;
        let mut wire = rig.wire(&agent);
        wire.initialize(version, json!({})).await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "slow", "arguments": {}}});
        told.say("one");
        told.say("result done");
        let reply = wire.post(call.to_string()).await;
        assert_eq!(
            reply.body.contains("id: 1-0\ndata: \n\n"),
            primed,
            "{}",
            reply.body
        );
        assert!(reply.body.contains("id: 1-1\n") && reply.body.contains("id: 1-2\n"));
    }
}

#[tokio::test]
async fn what_is_said_to_a_session_is_said_again_after_its_stream_broke() {
    let told = Told::start().await;
    let (mut rig, agent) = Rig::linked(&[("one", &told.server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let mut standing = wire.standing().await;
    rig.policy(0).allowed_tools = Some(vec![]);
    rig.apply();
    let heard = standing.next().await.unwrap();
    assert_eq!(heard["method"], "notifications/tools/list_changed");
    drop(standing);
    // As if it had not come through.
    let mut back = wire.stream(again(&wire, "0-0")).await;
    assert_eq!(back.next().await.unwrap(), heard);
}
