//! Sessions and servers that are lost in the middle: what was not done is done once, what may be done is not repeated (rule 17).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Notify;

use crate::rig::Rig;
use crate::scripted::{Scripted, error, events, session_server, status};

/// A server that forgets its session at the n-th POST with one.
async fn forgetful(
    forgets_at: usize,
    how: fn(&crate::scripted::Seen) -> axum::response::Response,
) -> Scripted {
    let posts = Arc::new(AtomicUsize::new(0));
    Scripted::start(move |seen| {
        let posts = posts.clone();
        async move {
            let counts = seen.session().is_some() && !seen.id().is_null();
            if counts && posts.fetch_add(1, Ordering::SeqCst) + 1 == forgets_at {
                return how(&seen);
            }
            session_server(&seen, &["echo"])
        }
    })
    .await
}

#[tokio::test]
async fn rule_17_a_lost_session_is_opened_anew_and_the_call_made_once() {
    let gone: fn(&crate::scripted::Seen) -> axum::response::Response = |_| status(404);
    let bad: fn(&crate::scripted::Seen) -> axum::response::Response = |seen| {
        let mut response = error(seen, -32000, "Bad Request: No valid session ID provided");
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    };
    for how in [gone, bad] {
        let server = forgetful(2, how).await;
        let other = Scripted::with_tools(&["other"]).await;
        let (rig, agent) = Rig::linked(&[("one", &server.url), ("two", &other.url)]).await;
        let wire = rig.wire(&agent).opened().await;
        wire.tools().await;
        let called = wire.tool("echo", json!({"n": 1})).await;
        assert_eq!(called.result()["content"][0]["text"], "echo {\"n\":1}");
        assert_eq!(server.of("initialize").len(), 2);
        assert_eq!(
            server.of("tools/call").len(),
            2,
            "one refused, one executed"
        );
        assert_eq!(
            other.of("initialize").len(),
            1,
            "other servers notice nothing"
        );
    }
}

#[tokio::test]
async fn rule_17_a_call_that_may_have_been_executed_is_not_repeated() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            // The stream ends before the answer: who knows what was done.
            "tools/call" => events(&[]),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let reply = wire.tool("echo", json!({})).await;
    let message = reply.answer()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(reply.code(), -32603);
    assert!(
        message.starts_with("one: ") && message.contains("broke"),
        "{message}"
    );
    assert_eq!(server.of("tools/call").len(), 1);
}

#[tokio::test]
async fn rule_17_a_session_that_stays_lost_is_a_clear_error() {
    let server = Scripted::start(|seen| async move {
        match seen.method() {
            "tools/call" => status(404),
            _ => session_server(&seen, &["echo"]),
        }
    })
    .await;
    let (rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    assert_eq!(wire.tool("echo", json!({})).await.code(), -32603);
    assert_eq!(server.of("tools/call").len(), 3, "one try, two retries");
}

#[tokio::test]
async fn a_restarted_instance_gets_new_sessions_without_its_clients_noticing() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    rig.snapshot.instances[0].epoch = "2".into();
    rig.apply();
    wire.tool("echo", json!({})).await.result();
    assert_eq!(server.of("initialize").len(), 2);
}

/// Makes a call that its server holds until `change` was done to the routes, and then refuses once as
/// of a session that it does not know (the connector waits for a tool that is away).
async fn called_during(change: impl FnOnce(&mut Rig)) -> crate::wire::Reply {
    let changed = Arc::new(Notify::new());
    let heard = changed.clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start(move |seen| {
        let (heard, calls) = (heard.clone(), calls.clone());
        async move {
            if seen.method() == "tools/call" && calls.fetch_add(1, Ordering::SeqCst) == 0 {
                heard.notified().await;
                return status(404);
            }
            session_server(&seen, &["echo"])
        }
    })
    .await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    let changing = async {
        let is_call = |seen: &crate::scripted::Seen| seen.method() == "tools/call";
        server
            .until("the call", |seen| seen.iter().any(is_call))
            .await;
        change(&mut rig);
        rig.apply();
        changed.notify_one();
    };
    let (called, ()) = tokio::join!(wire.tool("echo", json!({"n": 1})), changing);
    called
}

/// A call can be on its way for seconds while its server is being restarted: what was agreed with the
/// server before is then void, the call is not.
#[tokio::test]
async fn a_call_that_is_under_way_during_a_restart_is_answered() {
    let called = called_during(|rig| rig.snapshot.instances[0].epoch = "2".into()).await;
    assert_eq!(called.result()["content"][0]["text"], "echo {\"n\":1}");
}

#[tokio::test]
async fn a_call_that_is_under_way_when_its_server_is_unlinked_is_answered_with_an_error() {
    let called = called_during(|rig| rig.snapshot.agents[0].links.clear()).await;
    assert_eq!(called.code(), -32603);
    let answer = called.answer();
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("unlinked"), "{said}");
}
