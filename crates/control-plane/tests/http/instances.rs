//! Deploying tools and living with them.

use serde_json::{Value, json};

use crate::app::{App, Client};

/// An admin with a tool in the catalog and the secret that it needs.
async fn ready() -> (App, Client) {
    let (app, admin) = App::with_admin().await;
    app.catalog_entry(&admin, "clock").await;
    app.send(
        &admin,
        "PUT",
        "/api/v1/secrets/key",
        Some(json!({"value": "v"})),
    )
    .await
    .ok(201);
    app.world.take_woken();
    (app, admin)
}

async fn deploy(app: &App, client: &Client) -> Value {
    let body = json!({"catalog": "clock", "secrets": {"API_KEY": "key"}});
    app.post(client, "/api/v1/instances", body).await.ok(202)
}

fn path(instance: &Value, rest: &str) -> String {
    format!(
        "/api/v1/instances/{}{rest}",
        instance["id"].as_str().unwrap()
    )
}

#[tokio::test]
async fn the_first_deployment_turns_the_environment_on_by_itself() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    assert_eq!(made["status"], "pending_start");
    assert_eq!(made["name"], "clock");
    assert_eq!(made["version"], "2.0.0");
    assert_eq!(made["desired"], json!({"state": "running"}));
    let environment = app.get(&admin, "/api/v1/environment").await.ok(200);
    assert_eq!(environment["environment"]["id"], made["environment_id"]);
    assert_eq!(
        app.world.take_woken(),
        [
            format!("environment {}", made["environment_id"].as_str().unwrap()),
            format!("instance {}", made["id"].as_str().unwrap()),
        ]
    );
    let second = deploy(&app, &admin).await;
    assert_eq!(second["name"], "clock-2", "a free name is found");
    assert_eq!(second["environment_id"], made["environment_id"]);
    let listed = app.get(&admin, "/api/v1/instances").await.ok(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_can_not_work_is_refused_and_changes_nothing() {
    let (app, admin) = ready().await;
    let secrets = json!({"API_KEY": "key"});
    for (body, code) in [
        (json!({"catalog": "nothing"}), "unknown_catalog_entry"),
        (
            json!({"catalog": uuid::Uuid::nil()}),
            "unknown_catalog_entry",
        ),
        (
            json!({"catalog": "clock", "version": "9", "secrets": secrets}),
            "unknown_version",
        ),
        (
            json!({"catalog": "clock", "config": {"zone": 1}, "secrets": secrets}),
            "invalid_config",
        ),
        (
            json!({"catalog": "clock", "config": {"x": 1}, "secrets": secrets}),
            "invalid_config",
        ),
        (json!({"catalog": "clock"}), "missing_secret"),
        (
            json!({"catalog": "clock", "secrets": {"API_KEY": "nope"}}),
            "unknown_secret",
        ),
        (
            json!({"catalog": "clock", "secrets": {"API_KEY": uuid::Uuid::nil()}}),
            "unknown_secret",
        ),
        (
            json!({"catalog": "clock", "secrets": {"API_KEY": "key", "PATH": "key"}}),
            "unknown_secret",
        ),
        (
            json!({"catalog": "clock", "name": " odd ", "secrets": secrets}),
            "invalid_input",
        ),
        (
            json!({"catalog": "clock", "name": "a\u{202e}b", "secrets": secrets}),
            "invalid_input",
        ),
    ] {
        let problem = app.post(&admin, "/api/v1/instances", body.clone()).await;
        problem.problem(422, code);
    }
    let listed = app.get(&admin, "/api/v1/instances").await.ok(200);
    assert_eq!(listed["items"], json!([]));
    let environment = app.get(&admin, "/api/v1/environment").await.ok(200);
    assert_eq!(environment["environment"], Value::Null);
    assert!(app.world.take_woken().is_empty());

    app.send(&admin, "DELETE", "/api/v1/catalog/clock", None)
        .await
        .ok(200);
    app.post(
        &admin,
        "/api/v1/instances",
        json!({"catalog": "clock", "secrets": secrets}),
    )
    .await
    .problem(422, "archived");
}

#[tokio::test]
async fn a_life_of_stops_and_starts() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    let send = |verb: &'static str| {
        let path = path(&made, verb);
        let (app, admin) = (&app, &admin);
        async move { app.send(admin, "POST", &path, None).await }
    };
    assert_eq!(send("/stop").await.ok(202)["status"], "stopping");
    let again = send("/stop").await.ok(202);
    assert_eq!(again["generation"], 2, "asking twice is asking once");
    let started = send("/start").await.ok(202);
    assert_eq!(started["status"], "pending_start");
    assert_eq!(send("/restart").await.ok(202)["generation"], 4);

    let gone = app
        .send(&admin, "DELETE", &path(&made, "?purge_data=true"), None)
        .await
        .ok(202);
    assert_eq!(gone["status"], "pending_removal");
    assert_eq!(
        gone["desired"],
        json!({"state": "removed", "purge_data": true})
    );
    send("/start").await.problem(409, "wrong_state");

    let events = app
        .get(
            &admin,
            &format!("/api/v1/events?object_id={}", made["id"].as_str().unwrap()),
        )
        .await
        .ok(200);
    let kinds: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "instance.deployed",
            "instance.stop_requested",
            "instance.start_requested",
            "instance.restart_requested",
            "instance.remove_requested",
        ]
    );
}

#[tokio::test]
async fn settings_change_only_as_the_tool_allows() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    let change = |body: Value| {
        let path = path(&made, "");
        let (app, admin) = (&app, &admin);
        async move { app.send(admin, "PATCH", &path, Some(body)).await }
    };
    assert_eq!(change(json!({})).await.ok(202)["generation"], 1);
    let renamed = change(json!({"name": "my clock", "config": {"zone": "CET"}})).await;
    let renamed = renamed.ok(202);
    assert_eq!(renamed["name"], "my clock");
    assert_eq!(renamed["config"], json!({"zone": "CET"}));
    assert_eq!(renamed["generation"], 2);
    change(json!({"config": {"zone": false}}))
        .await
        .problem(422, "invalid_config");
    change(json!({"secrets": {}}))
        .await
        .problem(422, "missing_secret");
    let other = deploy(&app, &admin).await;
    assert_eq!(other["name"], "clock");
    change(json!({"name": "clock"}))
        .await
        .problem(409, "duplicate");
    let shown = app.get(&admin, &path(&made, "")).await.ok(200);
    assert_eq!(shown["generation"], 2, "refusals changed nothing");
}

#[tokio::test]
async fn too_much_for_the_machine_is_refused() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    let id = made["environment_id"].as_str().unwrap().parse().unwrap();
    let patch = agentopia_store::EnvironmentPatch {
        capacity: Some(Some(agentopia_domain::resources::Capacity {
            cpu_millis: 1000,
            memory_bytes: 600 << 20,
            disk_bytes: 1 << 30,
        })),
        ..Default::default()
    };
    let environments = app.state.store.environments();
    environments
        .update_unscoped(id, None, patch, &[])
        .await
        .unwrap();
    let body = json!({"catalog": "clock", "secrets": {"API_KEY": "key"}});
    let problem = app
        .post(&admin, "/api/v1/instances", body)
        .await
        .problem(409, "does_not_fit");
    assert!(problem["detail"].as_str().unwrap().contains("768 MiB"));
}

#[tokio::test]
async fn logs_come_line_by_line() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    let answered = app.get(&admin, &path(&made, "/logs?tail=2")).await;
    assert_eq!(answered.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = answered
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1], json!({"stream": "stderr", "line": "line 1"}));

    let followed = app
        .get(&admin, &path(&made, "/logs?tail=1&follow=true"))
        .await;
    let last: Value = serde_json::from_str(followed.text.lines().last().unwrap()).unwrap();
    assert_eq!(last["stream"], "error", "it says why it ended");

    app.get(&admin, &path(&made, "/logs?tail=10001"))
        .await
        .problem(400, "invalid_query");
    *app.world.unreachable.lock().unwrap() = true;
    app.get(&admin, &path(&made, "/logs"))
        .await
        .problem(502, "unreachable");
}

#[tokio::test]
async fn tools_are_called_by_hand_and_the_timeline_knows() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    let call = |tool: &'static str| {
        let path = path(&made, "/call");
        let (app, admin) = (&app, &admin);
        async move {
            let body = json!({"tool": tool, "arguments": {"text": "a private thing"}});
            app.post(admin, &path, body).await
        }
    };
    let tools = app.get(&admin, &path(&made, "/tools")).await.ok(200);
    assert_eq!(tools["tools"][0]["name"], "echo");
    let answer = call("echo").await.ok(200);
    assert_eq!(answer["result"]["content"][0]["text"], "a private thing");
    assert_eq!(answer["is_error"], false);
    assert_eq!(call("fail").await.ok(200)["is_error"], true);
    call("nothing").await.problem(502, "upstream_error");
    call("hang").await.problem(504, "timed_out");
    call("").await.problem(422, "invalid_input");
    let events = app.get(&admin, "/api/v1/events?limit=4").await;
    assert!(!events.text.contains("a private thing"));
    let outcomes: Vec<Value> = events.ok(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|event| event["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["succeeded", "failed", "failed", "failed"]);
}

#[tokio::test]
async fn what_keeps_a_tool_from_serving_is_looked_for() {
    let (app, admin) = ready().await;
    let made = deploy(&app, &admin).await;
    let doctor = path(&made, "/doctor");
    let found = app.get(&admin, &doctor).await.ok(200);
    let outcome = |found: &Value, name: &str| {
        let checks = found["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.map_or(Value::Null, |check| check["outcome"].clone())
    };
    // Nobody made a machine here, and so nothing runs.
    assert_eq!(outcome(&found, "machine"), "warning");
    assert_eq!(outcome(&found, "settings"), "ok");
    assert_eq!(outcome(&found, "status"), "warning");
    assert_eq!(outcome(&found, "answer"), "skipped");
    assert_eq!(outcome(&found, "agents"), "warning");
    assert_eq!(found["last_words"].as_array().unwrap().len(), 10);
    assert_eq!(found["last_words"][9], "line 49");

    *app.world.unreachable.lock().unwrap() = true;
    let found = app.get(&admin, &doctor).await.ok(200);
    assert_eq!(outcome(&found, "log"), "skipped");
    let stranger = app.user(&admin, "stranger").await;
    app.get(&stranger, &doctor).await.problem(404, "not_found");
}
