//! What is decided for all agents of an account, and what is kept of calls (AGT-8).

use serde_json::json;

use crate::app::App;

const SETTINGS: &str = "/api/v1/settings";

#[tokio::test]
async fn settings_change_one_by_one_and_the_timeline_says_so() {
    let (app, admin) = App::with_admin().await;
    let none = json!({"keep_payloads": false, "calls_per_day": null, "updated_at": null});
    assert_eq!(app.get(&admin, SETTINGS).await.ok(200), none);
    let patch = |body| app.send(&admin, "PATCH", SETTINGS, Some(body));
    assert_eq!(patch(json!({})).await.ok(200), none, "nothing was named");
    patch(json!({"keep_payloads": true})).await.ok(200);
    let changed = patch(json!({"calls_per_day": 100})).await.ok(200);
    assert_eq!(changed["keep_payloads"], true);
    assert_eq!(changed["calls_per_day"], 100);
    let changed = patch(json!({"calls_per_day": 0})).await.ok(200);
    assert!(changed["calls_per_day"].is_null() && changed["keep_payloads"] == true);
    for wrong in [
        json!({"calls_per_day": -1}),
        json!({"calls_per_day": 1.5}),
        json!({"calls_per_day": 5_000_000_000_u64}),
        json!({"keep_payloads": "yes"}),
        json!({"keep_everything": true}),
    ] {
        let status = patch(wrong.clone()).await.status;
        assert!(status.is_client_error(), "{wrong}: {status}");
    }
    assert_eq!(app.get(&admin, SETTINGS).await.ok(200), changed);
    let events = app.get(&admin, "/api/v1/events").await.ok(200).to_string();
    assert!(events.contains("arguments and results of calls are kept"));
    assert!(events.contains("at most 100 calls a day"));
    assert_eq!(app.world.take_woken(), ["routes", "routes", "routes"]);
}

#[tokio::test]
async fn an_agents_daily_limit_is_set_and_taken_away() {
    let (app, admin) = App::with_admin().await;
    let body = json!({"name": "a", "calls_per_day": 5});
    let agent = app.post(&admin, "/api/v1/agents", body).await.ok(201);
    assert_eq!(agent["calls_per_day"], 5);
    let path = format!("/api/v1/agents/{}", agent["id"].as_str().unwrap());
    let patch = |body| app.send(&admin, "PATCH", &path, Some(body));
    let renamed = patch(json!({"name": "b"})).await.ok(200);
    assert_eq!(renamed["calls_per_day"], 5);
    let free = patch(json!({"calls_per_day": 0})).await.ok(200);
    assert!(free["calls_per_day"].is_null());
}

#[tokio::test]
async fn calls_by_hand_are_counted_and_kept_without_secrets() {
    let (app, admin) = App::with_admin().await;
    let mut tool = crate::app::definition("echo");
    tool["secrets"] = json!([]);
    app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    let instance = app
        .post(&admin, "/api/v1/instances", json!({"catalog": "echo"}))
        .await
        .ok(202);
    let path = format!(
        "/api/v1/instances/{}/call",
        instance["id"].as_str().unwrap()
    );
    let body = json!({"tool": "echo", "arguments": {"text": "Berlin", "password": "hunter2"}});
    app.post(&admin, &path, body.clone()).await.ok(200);
    let keep = json!({"keep_payloads": true});
    app.send(&admin, "PATCH", SETTINGS, Some(keep))
        .await
        .ok(200);
    app.post(&admin, &path, body).await.ok(200);

    let calls = app.get(&admin, "/api/v1/calls").await.ok(200);
    let shown = async |n: usize| {
        let path = format!("/api/v1/calls/{}", calls["items"][n]["sequence"]);
        app.get(&admin, &path).await.ok(200)
    };
    let (kept, before) = (shown(0).await, shown(1).await);
    assert_eq!(
        kept["arguments"],
        r#"{"text":"Berlin","password":"[redacted]"}"#
    );
    assert!(kept["result"].is_string() && kept["method"] == "tools/call");
    assert!(before["arguments"].is_null() && before["result"].is_null());
    let listed = calls.to_string();
    assert!(!listed.contains("Berlin") && !listed.contains("hunter2"));

    let counts = app.get(&admin, "/api/v1/calls/counts").await.ok(200);
    assert_eq!(counts["items"].as_array().unwrap().len(), 1);
    assert_eq!(counts["items"][0]["calls"], 2);
    assert!(counts["items"][0]["agent_id"].is_null());
    for days in ["0", "401", "x"] {
        let path = format!("/api/v1/calls/counts?days={days}");
        let status = app.get(&admin, &path).await.status;
        assert!(status.is_client_error(), "{days}: {status}");
    }

    let bo = app.user(&admin, "bo").await;
    let sequence = format!("/api/v1/calls/{}", calls["items"][0]["sequence"]);
    app.get(&bo, &sequence).await.problem(404, "not_found");
    for unknown in ["999999", "x", "-1", "99999999999999999999"] {
        let path = format!("/api/v1/calls/{unknown}");
        app.get(&bo, &path).await.problem(404, "not_found");
    }
    let theirs = app.get(&bo, "/api/v1/calls/counts").await.ok(200);
    assert_eq!(theirs["items"], json!([]));

    let off = json!({"keep_payloads": false});
    app.send(&admin, "PATCH", SETTINGS, Some(off)).await.ok(200);
    assert!(shown(0).await["arguments"].is_null(), "dropped");
}
