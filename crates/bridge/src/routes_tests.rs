//! Who gets which message, without a process.

use agentopia_mcp::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::mailboxes::KEPT_MESSAGES;
use super::*;

fn scan(value: &Value) -> Envelope<Bytes> {
    Envelope::scan(Bytes::from(value.to_string()), &Limits::default()).unwrap()
}

/// A client's request on its way.
struct Asked {
    number: u64,
    sent: Value,
    answers: mpsc::Receiver<Delivery>,
}

fn ask(routes: &mut Routes, client: u64, request: &Value) -> Asked {
    let (to, answers) = mpsc::channel(8);
    let (number, line) = routes.begin(client, &scan(request), to);
    assert!(line.ends_with(b"\n") && line[..line.len() - 1].iter().all(|byte| *byte != b'\n'));
    Asked {
        number,
        sent: serde_json::from_slice(&line).unwrap(),
        answers,
    }
}

/// Hands a message of the process in, and does what was decided.
fn hear(routes: &mut Routes, message: &Value) -> Routed {
    let routed = routes.route(scan(message));
    match &routed {
        Routed::Deliver { to, delivery, .. } => to.try_send(delivery.clone()).unwrap(),
        Routed::Publish(streams) => streams
            .iter()
            .for_each(|(_, to, text)| to.try_send(text.clone()).unwrap()),
        _ => {}
    }
    routed
}

fn got(asked: &mut Asked) -> Option<(bool, Value)> {
    match asked.answers.try_recv().ok()? {
        Delivery::Message(text) => Some((false, serde_json::from_slice(&text).unwrap())),
        Delivery::Last(text) => Some((true, serde_json::from_slice(&text).unwrap())),
        Delivery::Undelivered => None,
    }
}

fn call(id: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "x", "_meta": {"progressToken": id}}})
}

#[test]
fn the_same_id_from_two_clients_never_crosses() {
    let mut routes = Routes::new(Mode::Shared);
    let mut one = ask(&mut routes, 1, &call(&json!("a")));
    let mut two = ask(&mut routes, 2, &call(&json!("a")));
    assert_ne!(one.sent["id"], two.sent["id"]);
    assert_eq!(one.sent["params"]["_meta"]["progressToken"], one.sent["id"]);
    hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken": two.sent["id"], "progress": 1}}),
    );
    hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","id": two.sent["id"], "result": {"for": 2}}),
    );
    hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","id": one.sent["id"], "result": {"for": 1}}),
    );
    let (last, progress) = got(&mut two).unwrap();
    assert_eq!(
        (last, &progress["params"]["progressToken"]),
        (false, &json!("a"))
    );
    assert_eq!(
        got(&mut two).unwrap(),
        (true, json!({"jsonrpc":"2.0","id":"a","result":{"for":2}}))
    );
    assert_eq!(
        got(&mut one).unwrap(),
        (true, json!({"jsonrpc":"2.0","id":"a","result":{"for":1}}))
    );
    assert!(!routes.is_busy());
}

#[test]
fn a_cancellation_names_the_request_as_this_hop_knows_it() {
    let mut routes = Routes::new(Mode::Exclusive);
    let mut asked = ask(&mut routes, 1, &call(&json!(7)));
    let cancel = json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId": 7, "reason": "enough"}});
    assert_eq!(
        routes.forward(2, &scan(&cancel)),
        None,
        "another client's request is not his to cancel"
    );
    let line = routes.forward(1, &scan(&cancel)).unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        line["params"],
        json!({"requestId": asked.number, "reason": "enough"})
    );
    assert!(matches!(
        asked.answers.try_recv(),
        Err(mpsc::error::TryRecvError::Disconnected)
    ));
    // An answer that crossed the cancellation is nobody's.
    let late = hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","id": asked.number, "result": {}}),
    );
    assert!(matches!(late, Routed::Dropped));
}

#[test]
fn what_belongs_to_no_request_waits_for_a_listener_within_bounds() {
    let mut routes = Routes::new(Mode::Exclusive);
    routes.enter(1);
    for number in 0..KEPT_MESSAGES + 5 {
        let kept = hear(
            &mut routes,
            &json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"n": number}}),
        );
        assert!(matches!(kept, Routed::Kept));
    }
    let (to, mut stream) = mpsc::channel(8);
    let waiting = routes.listen(1, to).unwrap();
    assert_eq!(waiting.len(), KEPT_MESSAGES);
    let first: Value = serde_json::from_slice(&waiting[0]).unwrap();
    assert_eq!(first["params"]["n"], 5, "the oldest went");
    assert!(
        routes.listen(1, mpsc::channel(1).0).is_none(),
        "one stream at a time"
    );
    hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}),
    );
    assert!(stream.try_recv().is_ok());
    drop(stream);
    assert!(
        routes.listen(1, mpsc::channel(1).0).is_some(),
        "a reader that went away makes room"
    );
}

#[test]
fn a_question_during_a_call_goes_to_that_call() {
    let mut routes = Routes::new(Mode::Exclusive);
    routes.enter(1);
    let (to, mut stream) = mpsc::channel(8);
    routes.listen(1, to);
    let mut asked = ask(&mut routes, 1, &call(&json!(1)));
    let question = json!({"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{}});
    hear(&mut routes, &question);
    assert_eq!(got(&mut asked).unwrap(), (false, question.clone()));
    // With two calls under way nobody knows which it belongs to.
    let _second = ask(&mut routes, 1, &call(&json!(2)));
    hear(&mut routes, &question);
    assert!(stream.try_recv().is_ok());
    // The client's answer goes back as it is.
    let answer = json!({"jsonrpc":"2.0","id":"q1","result":{"action":"accept"}});
    assert_eq!(
        routes.forward(1, &scan(&answer)).unwrap(),
        format!("{answer}\n")
    );
}

#[test]
fn a_shared_process_gets_its_own_requests_answered_here() {
    let mut routes = Routes::new(Mode::Shared);
    let Routed::Reply(pong) = hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","id":"p","method":"ping"}),
    ) else {
        panic!()
    };
    assert_eq!(
        &pong[..],
        b"{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"result\":{}}\n"
    );
    let Routed::Reply(no) = hear(
        &mut routes,
        &json!({"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}),
    ) else {
        panic!()
    };
    let no: Value = serde_json::from_slice(&no).unwrap();
    assert_eq!(
        (&no["id"], &no["error"]["code"]),
        (&json!(9), &json!(-32601))
    );
}

#[test]
fn a_listen_request_gets_its_own_notifications_under_its_own_id() {
    let mut routes = Routes::new(Mode::Shared);
    let listen = |id: Value| json!({"jsonrpc":"2.0","id": id, "method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}});
    let mut one = ask(&mut routes, 0, &listen(json!("l")));
    let mut two = ask(&mut routes, 0, &listen(json!(5)));
    for (asked, told, expected) in [
        (&mut one, json!(1), json!("l")),
        // A server that keeps ids as text.
        (&mut two, json!("2"), json!("5")),
    ] {
        hear(
            &mut routes,
            &json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId": told}}}),
        );
        let (last, message) = got(asked).unwrap();
        assert!(!last);
        assert_eq!(
            message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            expected
        );
    }
}

#[test]
fn when_a_client_leaves_its_requests_are_cancelled_and_others_stay() {
    let mut routes = Routes::new(Mode::Shared);
    let one = ask(&mut routes, 1, &call(&json!(1)));
    let two = ask(&mut routes, 2, &call(&json!(1)));
    assert_eq!(routes.leave(1), [one.number]);
    assert!(routes.is_busy());
    assert_eq!(routes.drain().len(), 1);
    drop(two);
    assert!(!routes.is_busy());
}

proptest! {
    /// However requests of several clients and answers interleave, every client gets exactly its
    /// own answers, under its own ids, once.
    #[test]
    fn answers_find_their_way(
        requests in prop::collection::vec((0_u64..4, prop_oneof![
            any::<u32>().prop_map(|number| json!(number)),
            "[a-z\"\\\\\u{e9}]{0,6}".prop_map(|text| json!(text)),
        ]), 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
        repeat in any::<bool>(),
    ) {
        let mut routes = Routes::new(Mode::Shared);
        let mut open: Vec<(Value, Asked)> = requests
            .iter()
            .map(|(client, id)| (id.clone(), ask(&mut routes, *client, &call(id))))
            .collect();
        for index in order {
            if open.is_empty() { break; }
            let (id, mut asked) = open.swap_remove(index.index(open.len()));
            let answer = json!({"jsonrpc":"2.0","id": asked.number, "result": {"number": asked.number}});
            hear(&mut routes, &answer);
            if repeat {
                prop_assert!(matches!(routes.route(scan(&answer)), Routed::Dropped));
            }
            prop_assert_eq!(got(&mut asked), Some((true, json!({"jsonrpc":"2.0","id": id, "result": {"number": asked.number}}))));
            prop_assert!(got(&mut asked).is_none());
        }
        prop_assert_eq!(routes.is_busy(), !open.is_empty());
    }
}
