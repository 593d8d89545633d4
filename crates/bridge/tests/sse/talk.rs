//! A session with a server that follows the rules.

use agentopia_mcp::SseParser;
use axum::http::StatusCode;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::bench::{Bench, answer_to, call};
use crate::far::Far;

#[tokio::test]
async fn progress_and_questions_come_on_the_calls_stream() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let calling = bench.posting(&session, call("c"));
    let asked = far.asked().await;
    assert_eq!(
        asked["params"]["_meta"]["progressToken"], asked["id"],
        "ids are our own on this hop"
    );
    far.say(
        &json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": asked["id"], "progress": 1}}),
    );
    let question = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "?"}});
    far.say(&question);
    let reply = json!({"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}});
    let replying = bench.posting(&session, reply.clone());
    assert_eq!(far.asked().await, reply);
    assert_eq!(replying.await.unwrap().status, StatusCode::ACCEPTED);
    far.say(&answer_to(&asked, "done"));
    let messages = calling.await.unwrap().messages();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[0]["params"]["progressToken"], "mine");
    assert_eq!(messages[1], question);
    assert_eq!(messages[2]["id"], "c");
    assert_eq!(messages[2]["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn unknown_fields_and_long_numbers_go_through_as_they_are() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let calling = bench.posting(&session, call(1));
    let asked = far.asked().await;
    let result = r#"{"z":1,"n":123456789012345678901234567890.10,"a":{"unknown":[null]}}"#;
    far.raw(&format!(
        "data: {{\"jsonrpc\":\"2.0\",\"id\":{},\ndata: \"result\":{result}}}\n\n",
        asked["id"]
    ));
    let answer = calling.await.unwrap();
    assert!(format!("{answer:?}").contains("123456789012345678901234567890.10"));
}

#[tokio::test]
async fn changes_come_on_the_sessions_own_stream() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    // Before somebody listens: kept.
    far.say(&changed);
    let listening = bench.open(Method::GET, Some(&session), String::new());
    let mut stream = listening.await.unwrap().into_body();
    let updated = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a://b"}});
    far.say(&updated);
    let mut heard: Vec<Value> = Vec::new();
    let (mut parser, mut events) = (SseParser::default(), Vec::new());
    while heard.len() < 2 {
        let frame = stream.frame().await.unwrap().unwrap();
        parser
            .push(&frame.into_data().unwrap(), &mut events)
            .unwrap();
        let messages = events
            .drain(..)
            .filter_map(|event| event.message().cloned());
        heard.extend(messages.map(|message| serde_json::from_slice::<Value>(&message).unwrap()));
    }
    assert_eq!(heard, [changed, updated]);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let calling = bench.posting(&session, call("c"));
    // The request is on its way, and not taken yet: nothing overtakes it.
    let (asked, taken) = far.held().await;
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    // Time in which a cancellation could overtake it.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(far.heard_nothing());
    taken.send(StatusCode::ACCEPTED).unwrap();
    let cancelled = far.asked().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], asked["id"]);
    // An answer that crossed it is nobody's, and the session goes on.
    far.say(&answer_to(&asked, "late"));
    let calling = bench.posting(&session, call("next"));
    let asked = far.asked().await;
    far.say(&answer_to(&asked, "on time"));
    let messages = calling.await.unwrap().messages();
    assert_eq!(messages[0]["result"]["content"][0]["text"], "on time");
}

#[tokio::test]
async fn a_server_that_takes_a_request_only_when_it_is_done_holds_up_no_other() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let slow = bench.posting(&session, call("slow"));
    let (asked_slowly, taken) = far.held().await;
    let quick = bench.posting(&session, call("quick"));
    let asked = far.asked().await;
    far.say(&answer_to(&asked, "quick"));
    assert_eq!(quick.await.unwrap().messages()[0]["id"], "quick");
    far.say(&answer_to(&asked_slowly, "slow"));
    taken.send(StatusCode::OK).unwrap();
    assert_eq!(slow.await.unwrap().messages()[0]["id"], "slow");
}
