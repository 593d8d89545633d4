//! Newer versions of instances, upgrades and roll-backs: what is taken, what is refused, and what is written
//! down (TOOL-4).

use serde_json::{Value, json};

use crate::app::{App, Client, definition};

/// An instance in version 1 of a tool that has two.
async fn ready() -> (App, Client, String) {
    let (app, admin) = App::with_admin().await;
    let mut clock = definition("clock");
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    clock["versions"] = json!([
        {"version": "1", "digest": digest("1")},
        {"version": "2", "digest": digest("2")},
    ]);
    clock["default_version"] = json!("2");
    app.post(&admin, "/api/v1/catalog", clock).await.ok(201);
    let secret = json!({"value": "v"});
    app.send(&admin, "PUT", "/api/v1/secrets/key", Some(secret))
        .await
        .ok(201);
    let body = json!({"catalog": "clock", "version": "1", "secrets": {"API_KEY": "key"}});
    let deployed = app.post(&admin, "/api/v1/instances", body).await.ok(202);
    let path = format!("/api/v1/instances/{}", deployed["id"].as_str().unwrap());
    (app, admin, path)
}

#[tokio::test]
async fn an_upgrade_is_written_down_and_is_one_at_a_time() {
    let (app, admin, path) = ready().await;
    let updates = app.get(&admin, &format!("{path}/updates")).await.ok(200);
    assert_eq!(updates["current"]["version"], "1");
    assert_eq!(updates["newer"]["version"], "2");
    assert_eq!(updates["versions"], json!(["1", "2"]));

    let upgrade = format!("{path}/upgrade");
    let begun = app.post(&admin, &upgrade, json!({})).await.ok(202);
    assert_eq!(
        begun["version"], "1",
        "it serves until the new one is ready"
    );
    assert_eq!(begun["change"]["kind"], "upgrade");
    assert_eq!(begun["change"]["to"]["version"], "2");
    assert_eq!(begun["change"]["how"], "beside");
    assert_eq!(begun["change"]["progress"], json!({"stage": "starting"}));
    app.post(&admin, &upgrade, json!({}))
        .await
        .problem(409, "wrong_state");
    app.post(&admin, &format!("{path}/rollback"), json!({}))
        .await
        .problem(409, "wrong_state");
}

#[tokio::test]
async fn what_is_stopped_runs_the_other_version_when_it_is_started_next() {
    let (app, admin, path) = ready().await;
    app.post(&admin, &format!("{path}/stop"), json!({}))
        .await
        .ok(202);
    let upgrade = format!("{path}/upgrade");
    let other = app.post(&admin, &upgrade, json!({})).await.ok(202);
    assert_eq!(
        (&other["version"], &other["change"]),
        (&json!("2"), &Value::Null)
    );
    assert_eq!(other["previous"]["version"], "1");
    app.post(&admin, &upgrade, json!({}))
        .await
        .problem(409, "wrong_state");
    let rollback = format!("{path}/rollback");
    let back = app.post(&admin, &rollback, json!({})).await.ok(202);
    assert_eq!(back["version"], "1");
    assert_eq!(back["previous"]["version"], "2");
}

#[tokio::test]
async fn versions_and_times_that_make_no_sense_are_refused() {
    let (app, admin, path) = ready().await;
    let upgrade = format!("{path}/upgrade");
    let short = json!({"options": {"within_seconds": 9}});
    app.post(&admin, &upgrade, short)
        .await
        .problem(422, "invalid_input");
    app.post(&admin, &upgrade, json!({"nonsense": 1}))
        .await
        .problem(422, "invalid_input");
    app.post(&admin, &upgrade, json!({"version": "1"}))
        .await
        .problem(409, "wrong_state");
    app.post(&admin, &upgrade, json!({"version": "9"}))
        .await
        .problem(422, "unknown_version");
    let rollback = format!("{path}/rollback");
    app.post(&admin, &rollback, json!({}))
        .await
        .problem(409, "wrong_state");
    let other = app.user(&admin, "eve").await;
    for (verb, body) in [("upgrade", json!({})), ("rollback", json!({}))] {
        app.post(&other, &format!("{path}/{verb}"), body)
            .await
            .problem(404, "not_found");
    }
    app.get(&other, &format!("{path}/updates"))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn what_nobody_listed_can_not_be_accepted() {
    let (app, admin, path) = ready().await;
    let definitions = format!("{path}/definitions");
    app.get(&admin, &definitions)
        .await
        .problem(409, "wrong_state");
    let hold = json!({"hold": true});
    app.send(&admin, "PUT", &definitions, Some(hold))
        .await
        .problem(409, "wrong_state");
    let accept = format!("{definitions}/accept");
    app.post(&admin, &accept, json!({}))
        .await
        .problem(409, "wrong_state");
    let other = app.user(&admin, "eve").await;
    app.get(&other, &definitions)
        .await
        .problem(404, "not_found");
    app.post(&other, &accept, json!({}))
        .await
        .problem(404, "not_found");
}
