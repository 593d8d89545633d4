//! Session-era servers whose event streams break off before the answer.

use http::Method;
use serde_json::{Value, json};

use crate::rig::Rig;
use crate::scripted::{self, Scripted, Seen, session_server};
use crate::wire::LAST_EVENT_ID;

/// An event stream of this text, which ends with it.
fn stream(text: String) -> axum::response::Response {
    let mut response = scripted::json_text(text);
    let kind = "text/event-stream".parse().unwrap();
    response.headers_mut().insert("content-type", kind);
    response
}

fn answer(id: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}})
}

fn last_event(seen: &Seen) -> Option<&str> {
    Some(seen.headers.get(LAST_EVENT_ID)?.to_str().unwrap())
}

#[tokio::test]
async fn a_call_goes_on_where_its_stream_broke_off_and_is_made_once() {
    let call = std::sync::Arc::new(parking_lot::Mutex::new(Value::Null));
    let server = Scripted::start(move |seen| {
        let call = call.clone();
        async move {
            match (seen.method(), last_event(&seen)) {
                ("tools/call", _) => {
                    *call.lock() = seen.id().clone();
                    stream("id: one\nretry: 20\ndata:\n\n".to_owned())
                }
                // Once more nothing but another place to go on from.
                (_, Some("one")) => stream("id: two\ndata:\n\n".to_owned()),
                (_, Some("two")) => {
                    stream(format!("id: three\ndata: {}\n\n", answer(&call.lock())))
                }
                _ => session_server(&seen, &["slow"]),
            }
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tool("slow", json!({})).await.result();
    assert_eq!(server.of("tools/call").len(), 1);
    let seen = server.seen();
    let asked: Vec<_> = seen.iter().filter_map(last_event).collect();
    assert_eq!(asked, ["one", "two"]);
    let resumed = seen.iter().filter(|seen| last_event(seen).is_some());
    for get in resumed {
        assert_eq!(get.http, Method::GET);
        assert_eq!(get.session(), Some("scripted-session"));
    }
}

#[tokio::test]
async fn a_stream_without_ids_is_not_taken_up_again() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => stream(": hello\n\n".to_owned()),
            _ => session_server(&seen, &["slow"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tool("slow", json!({})).await.code();
    assert_eq!(server.seen().iter().filter_map(last_event).count(), 0);
}

#[tokio::test]
async fn a_stream_that_never_gets_on_is_given_up() {
    let server = Scripted::start(|seen| async move {
        match (seen.method(), last_event(&seen)) {
            ("tools/call", _) => stream("id: same\nretry: 5\ndata:\n\n".to_owned()),
            (_, Some(_)) => stream("retry: 5\nid: same\n\n".to_owned()),
            _ => session_server(&seen, &["slow"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tool("slow", json!({})).await.code();
    assert_eq!(server.seen().iter().filter_map(last_event).count(), 5);
    wire.call("ping", json!({})).await.result();
}

#[tokio::test]
async fn a_server_that_can_not_go_on_is_told_as_broken() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => stream("id: one\nretry: 5\ndata:\n\n".to_owned()),
            // GET is answered with 405.
            _ => session_server(&seen, &["slow"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tool("slow", json!({})).await.code();
    assert_eq!(server.seen().iter().filter_map(last_event).count(), 1);
}
