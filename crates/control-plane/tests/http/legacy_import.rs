//! The earlier model is imported (ENV-13): shown first, done once, and nobody but admins may.

use serde_json::{Value, json};

use crate::app::{App, definition};

const AGENT: &str = "0191f0a0-0000-7000-8000-00000000000a";

fn rows() -> Value {
    json!({
        "agent_droplets": [
            {"id": 1, "agent_id": AGENT, "user_id": "bo@example.com", "droplet_id": 1001,
             "ip_address": "203.0.113.9", "status": "active", "region": "fra1", "size": "s-1vcpu-1gb"},
            {"id": 2, "agent_id": "second", "user_id": "bo@example.com", "droplet_id": 1002,
             "status": "active", "region": "ams3"},
            {"id": 3, "agent_id": "third", "user_id": 77, "droplet_id": 1003, "status": "active"},
        ],
        "agent_droplet_tools": [
            {"id": 11, "agent_droplet_id": 1, "tool_catalog_id": "echo", "status": "active"},
            {"id": 12, "agent_droplet_id": 2, "tool_catalog_id": "echo", "status": "active"},
            {"id": 13, "agent_droplet_id": 2, "tool_catalog_id": "time", "status": "stopped"},
        ],
    })
}

#[tokio::test]
async fn droplets_of_a_user_become_an_environment_once() {
    let (app, admin) = App::with_admin().await;
    let bo = app.user(&admin, "bo").await;
    for slug in ["echo", "time"] {
        let mut tool = definition(slug);
        tool["secrets"] = json!([]);
        app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    }
    let mut request = rows();
    let path = "/api/v1/legacy-import";
    app.post(&bo, path, request.clone())
        .await
        .problem(403, "forbidden");

    let shown = app.post(&admin, path, request.clone()).await.ok(200);
    assert_eq!(shown["applied"], false);
    assert_eq!(shown["accounts"][0]["environment"], "create");
    let problems = shown["problems"].as_array().unwrap();
    assert!(
        problems[0]["problem"]
            .as_str()
            .unwrap()
            .contains("--user 77=")
    );
    assert_eq!(shown["old_droplets"].as_array().unwrap().len(), 3);
    let agents = app.get(&bo, "/api/v1/agents").await.ok(200);
    assert_eq!(agents["items"], json!([]), "only shown");
    let environment = async || {
        let answer = app.get(&bo, "/api/v1/environment").await;
        answer.ok(200)["environment"].clone()
    };
    assert_eq!(environment().await, Value::Null, "only shown");

    request["apply"] = json!(true);
    let done = app.post(&admin, path, request.clone()).await.ok(200);
    assert_eq!(done["applied"], true);
    assert_eq!(
        environment().await["region"],
        Value::Null,
        "they were in two"
    );
    let agent = app
        .get(&bo, &format!("/api/v1/agents/{AGENT}"))
        .await
        .ok(200);
    let links = app
        .get(&bo, &format!("/api/v1/agents/{AGENT}/links"))
        .await
        .ok(200);
    assert_eq!(links["items"].as_array().unwrap().len(), 1);
    let tools = || async {
        let all = app.get(&bo, "/api/v1/instances").await.ok(200);
        let all = all["items"].as_array().unwrap().clone();
        let of = |it: &Value| (it["name"].clone(), it["desired"]["state"].clone());
        all.iter().map(of).collect::<Vec<_>>()
    };
    let first = tools().await;
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(
        first.contains(&(json!("echo"), json!("running"))),
        "{first:?}"
    );
    assert!(
        first.contains(&(json!("time"), json!("stopped"))),
        "{first:?}"
    );

    // What was stopped never was to run, not even for the moment between two steps.
    let events = app.get(&bo, "/api/v1/events?limit=200").await.ok(200);
    let events = events["items"].as_array().unwrap();
    assert!(
        events
            .iter()
            .all(|event| event["kind"] != "instance.stop_requested")
    );

    // Again, after bo gave the agent another name: nothing more, and nothing taken back.
    let name = json!({"name": "mine"});
    let agent = format!("/api/v1/agents/{}", agent["id"].as_str().unwrap());
    app.send(&bo, "PATCH", &agent, Some(name)).await.ok(200);
    let again = app.post(&admin, path, request).await.ok(200);
    let account = &again["accounts"][0];
    assert_eq!(account["environment"], "exists");
    for list in ["agents", "instances", "links"] {
        for item in account[list].as_array().unwrap() {
            assert_eq!(item["step"], "exists", "{item}");
        }
    }
    assert_eq!(tools().await, first);
    assert_eq!(app.get(&bo, &agent).await.ok(200)["name"], "mine");
    let events = app.get(&bo, "/api/v1/events?limit=200").await.ok(200);
    let imported = events["items"].as_array().unwrap().iter().filter(|event| {
        let message = event["message"].as_str().unwrap();
        message.contains("imported from the earlier model")
    });
    // One environment, two agents, two tools, three links.
    assert_eq!(imported.count(), 8);
}

#[tokio::test]
async fn an_agent_that_somebody_else_has_keeps_nobody_from_being_imported() {
    let (app, admin) = App::with_admin().await;
    let bo = app.user(&admin, "bo").await;
    let cy = app.user(&admin, "cy").await;
    let mut tool = definition("echo");
    tool["secrets"] = json!([]);
    app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    let path = "/api/v1/legacy-import";
    let rows = |id: i32, user: &str| {
        json!({
            "agent_droplets": [
                {"id": id, "agent_id": AGENT, "user_id": user, "status": "active"},
                {"id": id + 1, "agent_id": format!("own of {user}"), "user_id": user},
            ],
            "agent_droplet_tools":
                [{"id": id, "agent_droplet_id": id, "tool_catalog_id": "echo"}],
            "apply": true,
        })
    };
    let first = app.post(&admin, path, rows(1, "bo@example.com")).await;
    assert_eq!(first.ok(200)["problems"], json!([]));

    // The old platform gave the agent to somebody else since.
    let second = app.post(&admin, path, rows(3, "cy@example.com")).await;
    let second = second.ok(200);
    let problems = second["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["id"], "3");
    assert!(problems[0]["problem"].as_str().unwrap().contains(AGENT));
    assert_eq!(second["accounts"][0]["agents"][0]["step"], "failed");
    assert_eq!(second["accounts"][0]["links"][0]["step"], "failed");
    let agents = app.get(&cy, "/api/v1/agents").await.ok(200);
    assert_eq!(agents["items"].as_array().unwrap().len(), 1);
    let tools = app.get(&cy, "/api/v1/instances").await.ok(200);
    assert_eq!(tools["items"].as_array().unwrap().len(), 1);
    app.get(&bo, &format!("/api/v1/agents/{AGENT}"))
        .await
        .ok(200);
}
