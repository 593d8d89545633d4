//! The admin API.

use serde_json::{Value, json};

use crate::rig::{Rig, wish};

#[tokio::test]
async fn the_clock_is_stopped_and_moved() {
    let rig = Rig::slow();
    let droplet = rig.droplet("env:1").await;
    let stopped = rig
        .admin("POST", "/clock/stop", Value::Null)
        .await
        .with(200);
    assert_eq!(
        stopped,
        json!({"now": "2024-10-04T00:00:00Z", "stopped": true})
    );
    let moved = rig
        .admin("POST", "/clock/advance", json!({"by": "1m 30s"}))
        .await
        .with(200);
    assert_eq!(moved["now"], "2024-10-04T00:01:30Z");
    assert_eq!(rig.status(droplet).await, "active");
    assert_eq!(
        rig.admin("GET", "/clock", Value::Null).await.with(200),
        moved
    );
    let started = rig
        .admin("POST", "/clock/start", Value::Null)
        .await
        .with(200);
    assert_eq!(started["stopped"], false);
    let wrong = rig
        .admin("POST", "/clock/advance", json!({"by": "soon"}))
        .await;
    assert!(wrong.with(400)["error"].is_string());
}

#[tokio::test]
async fn faults_are_set_added_and_cleared() {
    let rig = Rig::new();
    let plan = json!({"request": [{"answer": "503", "when": {"count": 1}}]});
    let set = rig.admin("PUT", "/faults", plan).await.with(200);
    assert_eq!(set["request"][0]["answer"], "503");
    rig.get("/v2/account").await.with(503);
    rig.get("/v2/account").await.with(200);
    let rule = json!({"answer": "500", "method": "GET", "path": "/v2/sizes"});
    rig.admin("POST", "/faults/request", rule).await.with(200);
    rig.get("/v2/sizes").await.with(500);
    let rule = json!({"fault": "stuck_new"});
    rig.admin("POST", "/faults/resource", rule).await.with(200);
    let droplet = rig.droplet("env:1").await;
    assert_eq!(rig.status(droplet).await, "new");
    let all = rig.admin("GET", "/faults", Value::Null).await.with(200);
    assert_eq!(all["request"].as_array().unwrap().len(), 2);
    rig.admin("DELETE", "/faults", Value::Null).await.with(204);
    rig.get("/v2/sizes").await.with(200);
    rig.admin("PUT", "/faults", json!({"requests": []}))
        .await
        .with(400);
}

#[tokio::test]
async fn settings_and_tokens_are_changed() {
    let rig = Rig::new();
    let change =
        json!({"droplet_limit": 0, "delays": {"create": "5s..9s"}, "resize_while_on": "power_off"});
    let changed = rig.admin("PATCH", "/settings", change).await.with(200);
    assert_eq!(changed["delays"]["create"], "5s..9s");
    assert_eq!(changed["rate_limits"]["hourly"], 5000);
    assert_eq!(
        rig.admin("GET", "/settings", Value::Null).await.with(200),
        changed
    );
    rig.post("/v2/droplets", wish("web", "a"))
        .await
        .refused(422);
    rig.admin("PATCH", "/settings", json!({"dorplet_limit": 1}))
        .await
        .with(400);
    rig.admin(
        "PATCH",
        "/settings",
        json!({"delays": {"create": "9s..5s"}}),
    )
    .await
    .with(400);

    let tokens = json!([{"name": "mine", "secret": "mine", "scopes": {"only": ["account:read"]}}]);
    let shown = rig.admin("PUT", "/tokens", tokens).await.with(200);
    assert_eq!(
        shown,
        json!([{"name": "mine", "scopes": {"only": ["account:read"]}}])
    );
    assert_eq!(
        rig.admin("GET", "/tokens", Value::Null).await.with(200),
        shown
    );
    rig.get("/v2/account").await.refused(401);
    rig.call_as("mine", "GET", "/v2/account", None)
        .await
        .with(200);
    rig.call_as("mine", "GET", "/v2/sizes", None)
        .await
        .refused(403);
}

#[tokio::test]
async fn droplets_are_seen_and_befallen() {
    let rig = Rig::new();
    let droplet = rig.droplet("env:1").await;
    let seen = rig.admin("GET", "/droplets", Value::Null).await.with(200);
    assert_eq!(
        (&seen[0]["id"], &seen[0]["status"]),
        (&json!(droplet), &json!("active"))
    );
    let path = format!("/droplets/{droplet}");
    rig.admin("POST", &format!("{path}/stop"), Value::Null)
        .await
        .with(204);
    assert_eq!(rig.status(droplet).await, "off");
    rig.admin("POST", &format!("{path}/lock"), Value::Null)
        .await
        .with(204);
    let shown = rig.get(&format!("/v2{path}")).await.with(200);
    assert_eq!(shown["droplet"]["locked"], true);
    rig.delete(&format!("/v2{path}")).await.refused(422);
    rig.admin("POST", &format!("{path}/unlock"), Value::Null)
        .await
        .with(204);
    rig.admin("DELETE", &path, Value::Null).await.with(204);
    rig.get(&format!("/v2{path}")).await.refused(404);
    rig.admin("DELETE", &path, Value::Null).await.with(404);
}

#[tokio::test]
async fn the_journal_is_read() {
    let rig = Rig::new();
    let mut body = wish("web", "env:1");
    body["user_data"] = json!("enr_secret");
    rig.post("/v2/droplets", body).await.with(202);
    rig.get("/v2/account").await.with(200);
    rig.call_as("nobody", "GET", "/v2/account", None)
        .await
        .with(401);
    let all = rig.admin("GET", "/journal", Value::Null).await;
    assert!(!all.text.contains("enr_secret"));
    let all = all.with(200);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(
        (&all[0]["number"], &all[0]["token"]),
        (&json!(1), &json!("full"))
    );
    assert_eq!(all[0]["created"][0]["tags"], json!(["env:1"]));
    assert_eq!(all[2]["token"], Value::Null);
    let count = async |query: &str| {
        let read = rig
            .admin("GET", &format!("/journal?{query}"), Value::Null)
            .await
            .with(200);
        read.as_array().unwrap().len()
    };
    assert_eq!(count("created_tag=env:1").await, 1);
    assert_eq!(count("created_tag=env:2").await, 0);
    assert_eq!(count("method=get&path=/v2/account").await, 2);
    assert_eq!(count("after=2").await, 1);
    let creations = rig.admin("GET", "/creations", Value::Null).await.with(200);
    assert_eq!(creations["env:1"]["requests"], 1);
    rig.admin("POST", "/reset", Value::Null).await.with(204);
    assert_eq!(count("").await, 0);
    rig.admin("POST", "/reset", json!({"seed": 5}))
        .await
        .with(204);
}
