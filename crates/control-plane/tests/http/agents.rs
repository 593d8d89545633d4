//! Agents, what they may use, and how they are told.

use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn an_agent_from_making_to_taking_away() {
    let (app, admin) = App::with_admin().await;
    let made = app
        .post(&admin, "/api/v1/agents", json!({"name": "Ada's agent"}))
        .await
        .ok(201);
    let path = format!("/api/v1/agents/{}", made["id"].as_str().unwrap());
    assert_eq!(
        made["mcp_url"],
        format!(
            "http://127.0.0.1:8080/agents/{}/mcp",
            made["id"].as_str().unwrap()
        )
    );
    app.post(&admin, "/api/v1/agents", json!({"name": "Ada's agent"}))
        .await
        .problem(409, "duplicate");
    let changed = app
        .send(
            &admin,
            "PATCH",
            &path,
            Some(json!({"description": "helps"})),
        )
        .await
        .ok(200);
    assert_eq!(changed["description"], "helps");
    assert_eq!(changed["name"], "Ada's agent");
    let long = json!({"description": "x".repeat(2001)});
    app.send(&admin, "PATCH", &path, Some(long))
        .await
        .problem(422, "invalid_input");

    for client in ["claude", "vscode", "cursor", "json"] {
        let config = app
            .get(&admin, &format!("{path}/config?client={client}"))
            .await;
        assert!(!config.text.contains("agt_\""));
        let config = config.ok(200);
        assert_eq!(config["client"], client);
        assert!(
            config["config"]
                .to_string()
                .contains(made["mcp_url"].as_str().unwrap())
        );
    }
    app.get(&admin, &format!("{path}/config?client=emacs"))
        .await
        .problem(400, "invalid_query");
    app.send(&admin, "DELETE", &path, None).await.ok(204);
    app.get(&admin, &path).await.problem(404, "not_found");
    let woken = app.world.take_woken();
    assert_eq!(woken, ["routes", "routes", "routes"]);
}

#[tokio::test]
async fn links_say_what_an_agent_may_use() {
    let (app, admin) = App::with_admin().await;
    let agent = app
        .post(&admin, "/api/v1/agents", json!({"name": "a"}))
        .await
        .ok(201);
    let mut tool = crate::app::definition("echo");
    tool["secrets"] = json!([]);
    app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    let instance = app
        .post(&admin, "/api/v1/instances", json!({"catalog": "echo"}))
        .await
        .ok(202);
    let agent_path = format!("/api/v1/agents/{}", agent["id"].as_str().unwrap());
    let path = format!("{agent_path}/links/{}", instance["id"].as_str().unwrap());
    let put = |body: Option<Value>| app.send(&admin, "PUT", &path, body);

    let made = put(None).await.ok(200);
    assert_eq!(made["enabled"], true);
    assert_eq!(made["policy"], json!({"always_prefix": false}));
    let discovery = app
        .get(&admin, &format!("{agent_path}/discovery"))
        .await
        .ok(200);
    assert_eq!(discovery["servers"][0]["instance_id"], instance["id"]);
    assert_eq!(discovery["servers"][0]["tools"][0]["name"], "echo__echo");
    assert_eq!(
        discovery["servers"][0]["capabilities"],
        json!({"tools": {}})
    );

    let off = json!({"enabled": false, "policy": {"allowed_tools": ["echo"]}});
    let changed = put(Some(off)).await.ok(200);
    assert_eq!(changed["id"], made["id"]);
    assert_eq!(changed["enabled"], false);
    assert!(changed["deactivated_at"].is_string());
    assert_eq!(changed["policy"]["allowed_tools"], json!(["echo"]));
    let discovery = app
        .get(&admin, &format!("{agent_path}/discovery"))
        .await
        .ok(200);
    assert_eq!(discovery["servers"], json!([]));
    let described = json!({"policy": {"described_tools": {"echo": "Says it again"}}});
    put(Some(described)).await.ok(200);
    let discovery = app
        .get(&admin, &format!("{agent_path}/discovery"))
        .await
        .ok(200);
    let told = &discovery["servers"][0]["tools"][0]["description"];
    assert_eq!(told, "Says it again");
    put(Some(
        json!({"policy": {"described_tools": {"echo": "a\u{0}"}}}),
    ))
    .await
    .problem(422, "invalid_input");
    put(Some(json!({"policy": {"renamed_tools": {"echo": "a b"}}})))
        .await
        .problem(422, "invalid_input");
    put(Some(json!({"policy": {"alowed_tools": []}})))
        .await
        .problem(422, "invalid_input");

    let listed = app
        .get(&admin, &format!("{agent_path}/links"))
        .await
        .ok(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    app.send(&admin, "DELETE", &path, None).await.ok(204);
    app.send(&admin, "DELETE", &path, None)
        .await
        .problem(404, "not_found");
}
