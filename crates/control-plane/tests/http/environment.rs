//! Turning the environment on and off.

use agentopia_domain::metrics::{Sample, Usage};
use serde_json::{Value, json};

use crate::app::{App, Client, INTERNAL_SECRET};

#[tokio::test]
async fn enabling_twice_is_enabling_once() {
    let (app, admin) = App::with_admin().await;
    let none = app.get(&admin, "/api/v1/environment").await.ok(200);
    assert_eq!(none["environment"], Value::Null);
    app.send(&admin, "POST", "/api/v1/environment/disable", None)
        .await
        .problem(404, "not_found");

    let made = app
        .send(&admin, "POST", "/api/v1/environment/enable", None)
        .await
        .ok(202);
    assert_eq!(made["status"], "pending_creation");
    assert_eq!(made["provider"], "local");
    let again = app
        .post(&admin, "/api/v1/environment/enable", json!({}))
        .await
        .ok(202);
    assert_eq!(again["id"], made["id"]);
    let woken = app.world.take_woken();
    assert_eq!(
        woken,
        [format!("environment {}", made["id"].as_str().unwrap())]
    );
    let events = app
        .get(&admin, "/api/v1/events?object_kind=environment")
        .await
        .ok(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!(events["items"][0]["kind"], "environment.enabled");
    assert_eq!(events["items"][0]["source_ip"], "192.0.2.7");

    app.post(
        &admin,
        "/api/v1/environment/enable",
        json!({"size": "huge"}),
    )
    .await
    .problem(409, "wrong_state");
    let off = app
        .send(&admin, "POST", "/api/v1/environment/disable", None)
        .await
        .ok(202);
    assert_eq!(off["status"], "pending_deletion");
    assert_eq!(off["desired"], "disabled");
}

#[tokio::test]
async fn many_at_once_make_one_environment() {
    let (app, admin) = App::with_admin().await;
    let answers = futures::future::join_all(
        (0..10).map(|_| app.send(&admin, "POST", "/api/v1/environment/enable", None)),
    )
    .await;
    let ids: std::collections::BTreeSet<String> = answers
        .into_iter()
        .map(|answer| answer.ok(202)["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn other_services_ask_for_an_agents_environment() {
    let (app, admin) = App::with_admin().await;
    let agent = app
        .post(&admin, "/api/v1/agents", json!({"name": "a"}))
        .await
        .ok(201);
    let path = |id: &str| format!("/internal/agents/{id}/ensure-tool-environment");
    let id = agent["id"].as_str().unwrap();
    let send = |path: String, secret: Option<&str>| {
        let mut request = Client::default().request("POST", &path);
        if let Some(secret) = secret {
            request = request.header("x-internal-api-secret", secret);
        }
        app.raw(request.body(axum::body::Body::empty()).unwrap())
    };
    send(path(id), None)
        .await
        .problem(403, "wrong_internal_secret");
    send(path(id), Some("internal-secret-of-the-testz"))
        .await
        .problem(403, "wrong_internal_secret");
    // Being signed in is no substitute.
    app.send(&admin, "POST", &path(id), None)
        .await
        .problem(403, "wrong_internal_secret");
    let unknown = uuid::Uuid::nil().to_string();
    send(path(&unknown), Some(INTERNAL_SECRET))
        .await
        .problem(404, "not_found");
    let first = send(path(id), Some(INTERNAL_SECRET)).await.ok(202);
    let second = send(path(id), Some(INTERNAL_SECRET)).await.ok(202);
    assert_eq!(first["id"], second["id"]);
    let shown = app.get(&admin, "/api/v1/environment").await.ok(200);
    assert_eq!(shown["environment"]["id"], first["id"]);
}

#[tokio::test]
async fn without_a_secret_there_are_no_internal_calls() {
    let app = App::with(|config| config.internal_api_secret = None).await;
    let path = format!(
        "/internal/agents/{}/ensure-tool-environment",
        uuid::Uuid::nil()
    );
    let request = Client::default()
        .request("POST", &path)
        .header("x-internal-api-secret", "");
    app.raw(request.body(axum::body::Body::empty()).unwrap())
        .await
        .problem(404, "unknown_route");
}

#[tokio::test]
async fn what_was_measured_can_be_read() {
    let (app, admin) = App::with_admin().await;
    app.get(&admin, "/api/v1/environment/usage")
        .await
        .problem(404, "not_found");
    let made = app
        .send(&admin, "POST", "/api/v1/environment/enable", None)
        .await
        .ok(202);
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let usage = Usage {
        cpu_millis: 5,
        memory_bytes: 6,
        disk_bytes: 7,
        network_rx_bytes: 8,
        network_tx_bytes: 9,
    };
    let samples: Vec<Sample> = (0..3)
        .map(|sequence| Sample {
            sequence,
            age_ms: (3 - sequence) * 1000,
            host: usage,
            instances: Vec::new(),
        })
        .collect();
    let metrics = app.state.store.metrics();
    metrics.insert_unscoped(id, "boot", &samples).await.unwrap();
    let read = app.get(&admin, "/api/v1/environment/usage").await.ok(200);
    assert_eq!(read["samples"].as_array().unwrap().len(), 3);
    assert_eq!(read["samples"][0]["memory_bytes"], 6);
    app.get(&admin, "/api/v1/environment/usage?since_seconds=0")
        .await
        .problem(400, "invalid_query");
    let nil = uuid::Uuid::nil();
    app.get(
        &admin,
        &format!("/api/v1/environment/usage?instance_id={nil}"),
    )
    .await
    .problem(404, "not_found");
}
