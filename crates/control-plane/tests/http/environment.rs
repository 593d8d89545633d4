//! Turning the environment on and off.

use agentopia_cloud::{GB, MachineSize};
use agentopia_domain::environment::{EnvironmentEvent, EnvironmentStatus, ProviderKind};
use agentopia_domain::metrics::{Sample, Usage};
use agentopia_store::EnvironmentPatch;
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

/// A size in one region.
fn size(name: &str, (memory_gb, disk_gb): (u64, u64), cents: u32, region: &str) -> MachineSize {
    MachineSize {
        name: name.to_owned(),
        vcpus: 1,
        memory_bytes: memory_gb << 30,
        disk_bytes: disk_gb * GB,
        monthly_price_cents: cents,
        regions: vec![region.to_owned()],
    }
}

/// With machines at a provider that has a few sizes, and an active machine of the admin's.
async fn with_droplet() -> (App, Client) {
    let app = App::with(|config| {
        config.provider = ProviderKind::Digitalocean;
        config.digitalocean.default_region = Some("fra1".to_owned());
        config.digitalocean.default_size = Some("medium".to_owned());
        config.digitalocean.allowed_regions = vec!["ams3".to_owned()];
        config.digitalocean.allowed_sizes =
            ["tiny", "large", "elsewhere"].map(str::to_owned).to_vec();
    })
    .await;
    *app.world.sizes.lock().unwrap() = vec![
        size("tiny", (1, 50), 600, "fra1"),
        size("small-disk", (4, 25), 900, "fra1"),
        size("medium", (2, 50), 1200, "fra1"),
        size("large", (4, 80), 2400, "fra1"),
        size("elsewhere", (8, 160), 4800, "nyc1"),
        size("forbidden", (8, 160), 4800, "fra1"),
    ];
    let admin = app.set_up().await;
    let made = app
        .send(&admin, "POST", "/api/v1/environment/enable", None)
        .await
        .ok(202);
    assert_eq!(
        (&made["region"], &made["size"]),
        (&json!("fra1"), &json!("medium"))
    );
    let environments = app.state.store.environments();
    let id = made["id"].as_str().unwrap().parse().unwrap();
    for (from, event) in [
        (
            EnvironmentStatus::PendingCreation,
            EnvironmentEvent::CreateStarted,
        ),
        (EnvironmentStatus::Creating, EnvironmentEvent::Ready),
    ] {
        let patch = EnvironmentPatch {
            machine_id: Some(Some("4711".to_owned())),
            machine_disk_bytes: Some(Some(50 * GB)),
            monthly_price_cents: Some(Some(1200)),
            ..EnvironmentPatch::default()
        };
        let moved = environments.transition_unscoped(id, None, from, event, patch, &[]);
        moved.await.unwrap();
    }
    app.world.take_woken();
    (app, admin)
}

#[tokio::test]
async fn sizes_tell_their_price_and_what_is_in_the_way() {
    let (app, admin) = with_droplet().await;
    let shown = app.get(&admin, "/api/v1/environment").await.ok(200);
    assert_eq!(shown["environment"]["monthly_price_cents"], 1200);
    let offered = app.get(&admin, "/api/v1/environment/sizes").await.ok(200);
    let sizes = offered["sizes"].as_array().unwrap();
    let told: Vec<(&str, bool, &str)> = sizes
        .iter()
        .map(|size| {
            let obstacle = size["obstacle"].as_str().unwrap_or_default();
            (
                size["name"].as_str().unwrap(),
                size["is_current"] == true,
                obstacle,
            )
        })
        .collect();
    let [tiny, medium, large, elsewhere] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((tiny, large), (("tiny", false, ""), ("large", false, "")));
    assert!(medium.1 && medium.2.contains("already"));
    assert!(elsewhere.2.contains("only in nyc1"), "{elsewhere:?}");
    assert_eq!(sizes[2]["monthly_price_cents"], 2400);
    *app.world.unreachable.lock().unwrap() = true;
    app.get(&admin, "/api/v1/environment/sizes")
        .await
        .problem(502, "provider_error");
}

#[tokio::test]
async fn another_size_is_refused_before_anything_happens_or_wanted() {
    let (app, admin) = with_droplet().await;
    let scale = |size: &str| app.post(&admin, "/api/v1/environment/scale", json!({"size": size}));
    for (size, said) in [
        ("medium", "already"),
        ("huge", "no size"),
        ("small-disk", "no size"),
        ("forbidden", "no size"),
        ("elsewhere", "only in nyc1"),
    ] {
        let refused = scale(size).await.problem(422, "not_offered");
        assert!(
            refused["detail"].as_str().unwrap().contains(said),
            "{refused}"
        );
    }
    assert!(app.world.take_woken().is_empty(), "nothing happened");

    let asked = scale("large").await.ok(202);
    assert_eq!(asked["status"], "scaling");
    assert_eq!(asked["scaling"]["from"], "medium");
    assert_eq!(asked["scaling"]["to"], "large");
    assert_eq!(asked["scaling"]["phase"], "shutting_down");
    assert!(
        asked["scaling"]["progress"]
            .as_str()
            .unwrap()
            .contains("shutting")
    );
    let id = asked["id"].as_str().unwrap();
    assert_eq!(app.world.take_woken(), [format!("environment {id}")]);
    scale("tiny").await.problem(409, "wrong_state");
    let sizes = app.get(&admin, "/api/v1/environment/sizes").await.ok(200);
    let obstacle = sizes["sizes"][0]["obstacle"].as_str().unwrap();
    assert!(obstacle.contains("not active"), "{obstacle}");
    let events = app.get(&admin, "/api/v1/events").await.ok(200);
    let told = events["items"].as_array().unwrap();
    assert!(
        told.iter()
            .any(|event| event["kind"] == "environment.scale_requested")
    );
}

#[tokio::test]
async fn a_machine_of_the_servers_own_has_no_sizes() {
    let (app, admin) = App::with_admin().await;
    let scale = || app.post(&admin, "/api/v1/environment/scale", json!({"size": "x"}));
    scale().await.problem(404, "not_found");
    let sizes = app.get(&admin, "/api/v1/environment/sizes").await.ok(200);
    assert_eq!(sizes["sizes"], json!([]));
    app.send(&admin, "POST", "/api/v1/environment/enable", None)
        .await
        .ok(202);
    scale().await.problem(409, "wrong_state");
}

#[tokio::test]
async fn what_the_operator_does_not_offer_is_refused_and_another_try_can_be_elsewhere() {
    let (app, admin) = with_droplet().await;
    let other = app.user(&admin, "other").await;
    let enable = |body: Value| app.post(&other, "/api/v1/environment/enable", body);
    for (body, choice) in [
        (json!({"region": "sgp1"}), "fra1, ams3"),
        (json!({"size": "forbidden"}), "medium, tiny"),
    ] {
        let refused = enable(body).await.problem(422, "not_offered");
        assert!(
            refused["detail"].as_str().unwrap().contains(choice),
            "{refused}"
        );
    }
    let made = enable(json!({"region": "ams3"})).await.ok(202);
    enable(json!({"region": "fra1"}))
        .await
        .problem(409, "wrong_state");
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let (from, event) = (
        EnvironmentStatus::PendingCreation,
        EnvironmentEvent::CreateFailed,
    );
    let environments = app.state.store.environments();
    let patch = EnvironmentPatch::default();
    let failed = environments.transition_unscoped(id, None, from, event, patch, &[]);
    failed.await.unwrap();
    let again = enable(json!({"region": "fra1"})).await.ok(202);
    assert_eq!(again["status"], "pending_creation");
    assert_eq!(
        (&again["region"], &again["size"]),
        (&json!("fra1"), &json!("medium"))
    );
}
