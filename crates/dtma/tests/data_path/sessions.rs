//! The session era over stdio servers.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::bench::{Bench, call, initialize};
use crate::support::wait_for;

#[tokio::test]
async fn a_session_is_opened_used_and_closed() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let session = bench.initialize(id).await;
    let headers = [("mcp-session-id", session.as_str())];
    // Pretty-printed, with an id that is text and members that nobody knows.
    let message = "{\n \"jsonrpc\": \"2.0\",\r\n \"id\": \"caf\\u00e9\", \"x-unknown\": 1.50,\n \"method\": \"tools/call\", \"params\": {\"name\": \"echo\", \"arguments\": {\"text\": \"hi\"}}}";
    let answer = bench.send("POST", &id.to_string(), &headers, message).await;
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (StatusCode::OK, "application/json")
    );
    assert_eq!(answer.json()["result"]["content"][0]["text"], "hi");
    assert!(
        answer.body.contains("\"caf\\u00e9\""),
        "the id goes back as it came: {}",
        answer.body
    );
    assert_eq!(bench.path.processes(id), 1);

    let closed = bench
        .send("DELETE", &id.to_string(), &headers, Body::empty())
        .await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT);
    wait_for("the process to end", || async {
        (bench.path.processes(id) == 0).then_some(())
    })
    .await;
    let after = bench
        .post(id, &headers, &call(1, "echo", &json!({"text": "hi"})))
        .await;
    assert_eq!(
        (after.status, after.json()["code"].clone()),
        (StatusCode::NOT_FOUND, json!("session_not_found"))
    );
}

#[tokio::test]
async fn progress_comes_before_the_answer_on_the_same_stream_under_the_clients_token() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let session = bench.initialize(id).await;
    let mut message = call(7, "sleep_ms", &json!({"ms": 400}));
    message["params"]["_meta"] = json!({"progressToken": "my-token"});
    let answer = bench
        .post(id, &[("mcp-session-id", &session)], &message)
        .await;
    assert!(
        answer.body.starts_with("event: message\n"),
        "{}",
        answer.body
    );
    let events = answer.events();
    assert!(events.len() >= 2, "{events:?}");
    for event in &events[..events.len() - 1] {
        assert_eq!(event["method"], "notifications/progress");
        assert_eq!(event["params"]["progressToken"], "my-token");
    }
    let last = events.last().unwrap();
    assert_eq!(last["id"], 7);
    assert!(last["result"]["content"][0]["text"].is_string());
}

#[tokio::test]
async fn sessions_of_one_instance_have_processes_of_their_own_and_strangers_get_nothing() {
    let bench = Bench::new().await;
    let (one, two) = (bench.echo().await, bench.echo().await);
    let (a, b) = (bench.initialize(one).await, bench.initialize(one).await);
    assert_ne!(a, b);
    assert_eq!(bench.path.processes(one), 2);
    // A session is good at its own instance only.
    let foreign = bench
        .post(
            two,
            &[("mcp-session-id", &a)],
            &call(1, "echo", &json!({"text": "x"})),
        )
        .await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    bench.path.forget(one);
    let gone = bench
        .post(
            one,
            &[("mcp-session-id", &b)],
            &call(1, "echo", &json!({"text": "x"})),
        )
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn many_requests_at_once_in_one_session_are_answered_each_under_its_id() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let session = bench.initialize(id).await;
    let headers = [("mcp-session-id", session.as_str())];
    let bench = &bench;
    let asks = (0..200).map(|number| async move {
        let text = number.to_string().repeat(1 + number % 50);
        let answer = bench
            .post(id, &headers, &call(number, "echo", &json!({"text": text})))
            .await
            .json();
        assert_eq!(
            (&answer["id"], &answer["result"]["content"][0]["text"]),
            (&json!(number), &json!(text))
        );
    });
    futures::future::join_all(asks).await;
}

#[tokio::test]
async fn messages_larger_than_any_pipe_go_through_both_ways() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let session = bench.initialize(id).await;
    let text = "äöü\n".repeat(500_000);
    let answer = bench
        .post(
            id,
            &[("mcp-session-id", &session)],
            &call(1, "echo", &json!({"text": text})),
        )
        .await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], json!(text));
}

#[tokio::test]
async fn one_stream_a_session_and_it_ends_with_it() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let session = bench.initialize(id).await;
    let headers = [("mcp-session-id", session.as_str())];
    let mut stream = bench
        .open("GET", &id.to_string(), &headers, Body::empty())
        .await
        .into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(
        first.starts_with(b": "),
        "a comment, so that the client knows that it is open"
    );
    let second = bench
        .send("GET", &id.to_string(), &headers, Body::empty())
        .await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    bench
        .send("DELETE", &id.to_string(), &headers, Body::empty())
        .await;
    let rest = tokio::time::timeout(Duration::from_secs(20), stream.collect()).await;
    assert!(rest.unwrap().unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_cancelled_request_ends_and_the_session_goes_on() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let session = bench.initialize(id).await;
    let headers = [("mcp-session-id", session.as_str())];
    let mut slow = call("slow", "sleep_ms", &json!({"ms": 600_000}));
    slow["params"]["_meta"] = json!({"progressToken": 1});
    let mut stream = bench
        .open("POST", &id.to_string(), &headers, slow.to_string())
        .await
        .into_body();
    stream.frame().await.unwrap().unwrap();
    let cancel =
        json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow"}});
    assert_eq!(
        bench.post(id, &headers, &cancel).await.status,
        StatusCode::ACCEPTED
    );
    tokio::time::timeout(Duration::from_secs(20), stream.collect())
        .await
        .unwrap()
        .unwrap();
    let answer = bench
        .post(id, &headers, &call(2, "echo", &json!({"text": "on"})))
        .await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "on");
}

#[tokio::test]
async fn sessions_of_a_shared_server_share_one_process_and_never_meet() {
    let bench = Bench::new().await;
    let id = bench.shared().await;
    let (one, two) = (bench.initialize(id).await, bench.initialize(id).await);
    assert_eq!(bench.path.processes(id), 1);
    let ask = |session: String, text: &'static str| {
        let bench = &bench;
        async move {
            let mut slow = call(1, "sleep_ms", &json!({"ms": 300}));
            slow["params"]["_meta"] = json!({"progressToken": text});
            let events = bench
                .post(id, &[("mcp-session-id", &session)], &slow)
                .await
                .events();
            for event in &events[..events.len() - 1] {
                assert_eq!(event["params"]["progressToken"], text);
            }
            assert_eq!(events.last().unwrap()["id"], 1);
            let answer = bench
                .post(
                    id,
                    &[("mcp-session-id", &session)],
                    &call(1, "echo", &json!({"text": text})),
                )
                .await;
            assert_eq!(answer.json()["result"]["content"][0]["text"], text);
        }
    };
    tokio::join!(ask(one.clone(), "one"), ask(two, "two"));
    let closed = bench
        .send(
            "DELETE",
            &id.to_string(),
            &[("mcp-session-id", &one)],
            Body::empty(),
        )
        .await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT);
    assert_eq!(
        bench.path.processes(id),
        1,
        "the other session still uses it"
    );
    let again = bench.post(id, &[], &initialize()).await;
    assert_eq!(again.json()["id"], "init");
}
