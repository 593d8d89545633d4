//! Servers that break the rules in the middle of a session.

use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, LARGEST, answer_to, call};
use crate::far::Far;

/// The session is over: what follows is told to begin a new one.
async fn is_over(bench: &Bench, session: &str) {
    let answer = bench.post(Some(session), &call("next")).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.messages()[0]["code"], "session_not_found");
    assert_eq!(
        bench.hub.sessions(bench.instance),
        0,
        "its room is free again"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_of_calls_answers_them_all() {
    for breaks in [Far::cut, Far::end] {
        let mut far = Far::start().await;
        let bench = Bench::of(&far);
        let session = bench.initialized(&mut far).await;
        let one = bench.posting(&session, call(1));
        let two = bench.posting(&session, call(2));
        far.asked().await;
        far.asked().await;
        breaks(&far);
        for calling in [one, two] {
            let error = calling.await.unwrap().error();
            assert!(error.contains("event stream"), "{error}");
        }
        is_over(&bench, &session).await;
        // And a new one is as good as the first.
        bench.initialized(&mut far).await;
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_ends_the_session_and_says_so() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let calling = bench.posting(&session, call(1));
    let asked = far.asked().await;
    far.say(&answer_to(&asked, &"x".repeat(2 * LARGEST)));
    let error = calling.await.unwrap().error();
    assert!(error.contains("an event is larger than"), "{error}");
    is_over(&bench, &session).await;
}

#[tokio::test]
async fn answers_that_nobody_asked_for_and_nonsense_are_passed_over() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let one = bench.posting(&session, call("same"));
    let first = far.asked().await;
    let two = bench.posting(&session, call("same"));
    let second = far.asked().await;
    assert_ne!(first["id"], second["id"], "the same id twice never crosses");
    for nobodys in [json!(0), json!(99), json!("99"), json!("same"), json!(null)] {
        far.say(&json!({"jsonrpc": "2.0", "id": nobodys, "result": {"for": "nobody"}}));
    }
    far.raw("event: endpoint\ndata: http://evil.example/\n\n");
    far.raw("event: endpoint\ndata: /elsewhere\n\n");
    far.raw(
        "event: other\ndata: {}\n\ndata: nonsense\n\ndata: []\n\ndata: {\"jsonrpc\":\"2.0\"}\n\n",
    );
    far.raw(&format!("data: [{}]\n\n", answer_to(&second, "two")));
    far.say(&answer_to(&second, "twice"));
    far.say(&answer_to(&first, "one"));
    far.say(&answer_to(&first, "twice"));
    for (calling, text) in [(one, "one"), (two, "two")] {
        let messages = calling.await.unwrap().messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(messages[0]["id"], "same");
        assert_eq!(messages[0]["result"]["content"][0]["text"], text);
    }
    // Messages still go where they went.
    let calling = bench.posting(&session, call("again"));
    let asked = far.asked().await;
    far.say(&answer_to(&asked, "still"));
    assert_eq!(calling.await.unwrap().messages()[0]["id"], "again");
}

#[tokio::test]
async fn a_server_that_forgot_the_session_did_not_get_the_request() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let waiting = bench.posting(&session, call("waiting"));
    far.asked().await;
    let calling = bench.posting(&session, call("lost"));
    let (_, taken) = far.held().await;
    taken.send(StatusCode::NOT_FOUND).unwrap();
    // This one can be sent again in a new session; the other may have been carried out.
    assert_eq!(calling.await.unwrap().status, StatusCode::NOT_FOUND);
    let error = waiting.await.unwrap().error();
    assert!(error.contains("forgot the session"), "{error}");
    is_over(&bench, &session).await;
}

#[tokio::test]
async fn a_message_that_the_server_refuses_fails_alone() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let calling = bench.posting(&session, call("bad"));
    let (_, taken) = far.held().await;
    taken.send(StatusCode::BAD_REQUEST).unwrap();
    let error = calling.await.unwrap().error();
    assert!(error.contains("HTTP status 400"), "{error}");
    let calling = bench.posting(&session, call("good"));
    let asked = far.asked().await;
    far.say(&answer_to(&asked, "good"));
    assert_eq!(calling.await.unwrap().messages()[0]["id"], "good");
}

#[tokio::test]
async fn a_server_that_never_takes_a_message_fails_it() {
    let mut far = Far::start().await;
    let config = agentopia_bridge::sse::HubConfig {
        input_patience: std::time::Duration::from_millis(300),
        ..crate::bench::config()
    };
    let bench = Bench::with(&far, config);
    let session = bench.initialized(&mut far).await;
    let calling = bench.posting(&session, call("hangs"));
    let (_, _never) = far.held().await;
    let error = calling.await.unwrap().error();
    assert!(error.contains("did not take the message"), "{error}");
}
