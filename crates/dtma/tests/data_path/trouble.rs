//! Servers that misbehave.

use std::time::Duration;

use agentopia_dtma::mcp::DataPathConfig;
use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, call, initialize, modern};
use crate::support::wait_for;

#[tokio::test]
async fn a_server_that_ends_at_once_is_an_error_with_its_last_words_and_no_session() {
    let bench = Bench::new().await;
    let id = bench.faulty("exit-at-once").await;
    let answer = bench.post(id, &[], &initialize()).await;
    assert_eq!(
        (answer.status, answer.session.clone()),
        (StatusCode::OK, None)
    );
    let error = &answer.json()["error"];
    assert_eq!(
        (&answer.json()["id"], &error["code"]),
        (&json!("init"), &json!(-32000))
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("exit status 3") && message.contains("exiting at once"),
        "{message}"
    );
    wait_for("the process to be gone", || async {
        (bench.path.processes(id) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_fails_that_call_and_ends_the_session() {
    let bench = Bench::new().await;
    // Answers initialize, then dies at the next line.
    let script = "read -r line; printf '%s\\n' '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"serverInfo\":{\"name\":\"agentopia-echo\"}}}'; read -r line; read -r line; echo 'out of luck' >&2; exit 7";
    let id = bench
        .tool(|spec| spec.program.process = vec!["/bin/sh".into(), "-c".into(), script.into()])
        .await;
    let session = bench.initialize(id).await;
    let headers = [("mcp-session-id", session.as_str())];
    let answer = bench.post(id, &headers, &call("c", "x", &json!({}))).await;
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("exit status 7") && message.contains("out of luck"),
        "{message}"
    );
    let after = bench.post(id, &headers, &call("d", "x", &json!({}))).await;
    assert_eq!(after.status, StatusCode::NOT_FOUND);
    // And a new one can be had.
    bench.initialize(id).await;
}

#[tokio::test]
async fn garbage_on_standard_output_is_dropped_and_the_session_works() {
    let bench = Bench::new().await;
    let id = bench.faulty("garbage-on-stdout").await;
    let session = bench.initialize(id).await;
    for number in 0..20 {
        let answer = bench
            .post(
                id,
                &[("mcp-session-id", &session)],
                &call(number, "echo", &json!({"text": "ok"})),
            )
            .await;
        assert_eq!(answer.json()["result"]["content"][0]["text"], "ok");
        assert_eq!(
            answer.content_type, "application/json",
            "nothing of the garbage was forwarded"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_told_to_whoever_asked_and_the_session_goes_on() {
    let config = DataPathConfig {
        limits: agentopia_mcp::Limits {
            max_bytes: 100_000,
            ..agentopia_mcp::Limits::default()
        },
        ..DataPathConfig::default()
    };
    let bench = Bench::with(config).await;
    // Repeats what it was told so often that the answer is longer than the request may be.
    let script = r#"while read -r line; do
        id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
        case $line in
            *initialize*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"serverInfo\":{\"name\":\"agentopia-echo\"}}}" ;;
            *long*) printf '{"jsonrpc":"2.0","id":%s,"result":{"x":"%0200000d"}}\n' "$id" 0 ;;
            *) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{}}" ;;
        esac
    done"#;
    let id = bench
        .tool(|spec| spec.program.process = vec!["/bin/sh".into(), "-c".into(), script.into()])
        .await;
    let session = bench.initialize(id).await;
    let headers = [("mcp-session-id", session.as_str())];
    let refused = bench.post(id, &headers, &call(7, "long", &json!({}))).await;
    assert_eq!(refused.json()["id"], 7);
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("larger than 100000 bytes"), "{message}");
    let fine = bench
        .post(id, &headers, &call(8, "short", &json!({})))
        .await;
    assert_eq!(fine.json()["result"], json!({}));
}

#[tokio::test]
async fn a_server_that_reads_nothing_is_called_stuck_and_holds_nobody_up_for_long() {
    let config = DataPathConfig {
        stdin_patience: Duration::from_millis(100),
        ..DataPathConfig::default()
    };
    let bench = Bench::with(config).await;
    let id = bench.faulty("hang-at-start").await;
    let text = "x".repeat(1 << 17);
    let id_text = id.to_string();
    let headers = [("agentopia-session-key", "k")];
    // More than pipe and queue hold: the last ones can't be handed over.
    let requests = (0..100).map(|number| {
        let body = modern(number, "echo", &json!({"text": text})).to_string();
        Box::pin(bench.send("POST", &id_text, &headers, body))
    });
    let told = futures::future::select_all(requests);
    let (answer, ..) = tokio::time::timeout(Duration::from_secs(20), told)
        .await
        .expect("nobody was told");
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("hangs"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_server_that_stays_after_its_input_ended_is_ended() {
    let bench = Bench::new().await;
    let id = bench.faulty("ignore-sigterm").await;
    bench.initialize(id).await;
    tokio::time::timeout(Duration::from_secs(30), bench.path.shutdown())
        .await
        .unwrap();
    assert_eq!(bench.path.processes(id), 0);
}
