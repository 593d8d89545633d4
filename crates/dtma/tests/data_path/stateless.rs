//! The modern era over stdio servers.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::bench::{Bench, call, modern};
use crate::support::wait_for;

const KEY: &str = "agentopia-session-key";

#[tokio::test]
async fn one_session_key_is_one_process_and_two_keys_are_two() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    for key in ["agent-1", "agent-1", "agent-2", "agent-1"] {
        let answer = bench
            .post(
                id,
                &[(KEY, key)],
                &modern("x", "echo", &json!({"text": key})),
            )
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(
            (
                &answer.json()["id"],
                &answer.json()["result"]["content"][0]["text"]
            ),
            (&json!("x"), &json!(key))
        );
        assert_eq!(answer.session, None);
    }
    assert_eq!(bench.path.processes(id), 2);
}

#[tokio::test]
async fn without_a_key_nothing_is_shared_and_nothing_stays() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let answer = bench
        .post(id, &[], &modern(1, "echo", &json!({"text": "alone"})))
        .await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "alone");
    wait_for("the process to end", || async {
        (bench.path.processes(id) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_clients_of_one_key_with_the_same_ids_get_their_own_answers() {
    let bench = Bench::new().await;
    let id = bench.echo().await;
    let bench = &bench;
    let asks = (0..100).map(|number| async move {
        let answer = bench
            .post(
                id,
                &[(KEY, "k")],
                &modern(1, "echo", &json!({"text": number.to_string()})),
            )
            .await;
        assert_eq!(
            answer.json()["result"]["content"][0]["text"],
            number.to_string()
        );
    });
    futures::future::join_all(asks).await;
    assert_eq!(bench.path.processes(id), 1);
}

#[tokio::test]
async fn rule_14_both_eras_at_once_have_processes_of_their_own() {
    let bench = Bench::new().await;
    let id = bench.shared().await;
    let session = bench.initialize(id).await;
    let answer = bench
        .post(
            id,
            &[(KEY, "k")],
            &modern(1, "echo", &json!({"text": "modern"})),
        )
        .await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "modern");
    let answer = bench
        .post(
            id,
            &[("mcp-session-id", &session)],
            &call(1, "echo", &json!({"text": "session"})),
        )
        .await;
    assert_eq!(answer.json()["result"]["content"][0]["text"], "session");
    assert_eq!(bench.path.processes(id), 2);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let bench = Bench::new().await;
    let file = bench.directory.path().join("told");
    let id = bench.silent(&file).await;
    let body = modern("mine", "sleep_ms", &json!({"ms": 1})).to_string();
    let waiting = id.to_string();
    {
        let headers = [(KEY, "k")];
        let request = bench.open("POST", &waiting, &headers, body);
        // Given up once the server was told.
        tokio::select! {
            response = request => panic!("a silent server answered: {response:?}"),
            () = told(&file, "sleep_ms") => (),
        }
    }
    told(&file, "notifications/cancelled").await;
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["id"], lines[1]["params"]["requestId"]);
    tokio::time::timeout(Duration::from_secs(20), bench.path.shutdown())
        .await
        .unwrap();
}

async fn told(file: &std::path::Path, word: &str) {
    wait_for(word, || async {
        std::fs::read_to_string(file)
            .unwrap_or_default()
            .contains(word)
            .then_some(())
    })
    .await;
}
