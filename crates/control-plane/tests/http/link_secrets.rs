//! Links that carry secrets of their own (AGT-6): which are taken, and what is told of them.

use serde_json::{Value, json};

use crate::app::{App, Client, definition};

const CANARY: &str = "canary-2b6f0d11-never-to-be-seen";

/// An account with an agent, a tool that reads `API_KEY`, and a secret called `mine`.
struct Account {
    app: App,
    admin: Client,
    agent: String,
}

impl Account {
    async fn new() -> Self {
        let (app, admin) = App::with_admin().await;
        let body = json!({"value": CANARY});
        app.send(&admin, "PUT", "/api/v1/secrets/mine", Some(body))
            .await
            .ok(201);
        let agent = app
            .post(&admin, "/api/v1/agents", json!({"name": "a"}))
            .await;
        let agent = agent.ok(201)["id"].as_str().unwrap().to_owned();
        Self { app, admin, agent }
    }

    /// A link's address, to an instance of a tool that is defined so.
    async fn link_to(&self, slug: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut tool = definition(slug);
        tool["secrets"] = json!([{"name": "API_KEY", "required": false}]);
        change(&mut tool);
        let (app, admin) = (&self.app, &self.admin);
        app.post(admin, "/api/v1/catalog", tool).await.ok(201);
        let body = json!({"catalog": slug});
        let made = app.post(admin, "/api/v1/instances", body).await.ok(202);
        let instance = made["id"].as_str().unwrap();
        format!("/api/v1/agents/{}/links/{instance}", self.agent)
    }

    async fn put(&self, path: &str, body: Value) -> crate::app::Answered {
        self.app.send(&self.admin, "PUT", path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.app.get(&self.admin, path).await.ok(200)
    }
}

#[tokio::test]
async fn a_link_carries_a_secret_until_it_is_told_otherwise() {
    let at = Account::new().await;
    let link = at.link_to("echo", |_| ()).await;
    let listed = at.get("/api/v1/secrets").await;
    let secret = &listed["items"][0];
    assert_eq!(secret["carried_by"], json!([]));
    at.app.world.take_woken();

    let made = at.put(&link, json!({"secrets": {"API_KEY": "mine"}})).await;
    assert!(!made.text.contains(CANARY));
    assert_eq!(made.ok(200)["secrets"], json!({"API_KEY": secret["id"]}));
    assert_eq!(at.app.world.take_woken(), ["routes"]);
    // Switching it off and on says nothing of secrets.
    for enabled in [false, true] {
        let kept = at.put(&link, json!({"enabled": enabled})).await.ok(200);
        assert_eq!(kept["secrets"], json!({"API_KEY": secret["id"]}));
    }
    let by_id = json!({"secrets": {"API_KEY": secret["id"]}});
    at.put(&link, by_id).await.ok(200);
    let listed = at.get("/api/v1/secrets").await;
    let carried = &listed["items"][0]["carried_by"];
    assert_eq!(carried[0]["agent_name"], "a");
    assert_eq!(carried.as_array().unwrap().len(), 1);

    // It is in use, and its new value reaches no instance but other sessions.
    let refused = at
        .app
        .send(&at.admin, "DELETE", "/api/v1/secrets/mine", None)
        .await
        .problem(409, "secret_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("the agent a"));
    at.app.world.take_woken();
    at.put("/api/v1/secrets/mine", json!({"value": "next"}))
        .await
        .ok(200);
    assert_eq!(at.app.world.take_woken(), ["routes"]);

    let none = at.put(&link, json!({"secrets": {}})).await.ok(200);
    assert_eq!(none["secrets"], json!({}));
    at.app
        .send(&at.admin, "DELETE", "/api/v1/secrets/mine", None)
        .await
        .ok(204);
    for path in [
        "/api/v1/events",
        &format!("/api/v1/agents/{}/links", at.agent),
    ] {
        assert!(!at.get(path).await.to_string().contains("canary"), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_the_tools_or_not_ones_own_is_refused_and_changes_nothing() {
    let at = Account::new().await;
    let link = at.link_to("echo", |_| ()).await;
    let other = at.app.user(&at.admin, "other").await;
    let body = json!({"value": "x"});
    let theirs = at
        .app
        .send(&other, "PUT", "/api/v1/secrets/theirs", Some(body))
        .await
        .ok(201);
    let made = at.put(&link, json!({"secrets": {"API_KEY": "mine"}})).await;
    let made = made.ok(200);
    for (secrets, code) in [
        (json!({"PATH": "mine"}), "unknown_secret"),
        (
            json!({"API_KEY": "mine", "LD_PRELOAD": "mine"}),
            "unknown_secret",
        ),
        (json!({"API_KEY": "nobody's"}), "unknown_secret"),
        (json!({"API_KEY": "theirs"}), "unknown_secret"),
        (json!({"API_KEY": theirs["id"]}), "unknown_secret"),
        (json!({"API_KEY": 7}), "invalid_input"),
        (json!("mine"), "invalid_input"),
    ] {
        let body = json!({"enabled": false, "secrets": secrets});
        at.put(&link, body).await.problem(422, code);
    }
    let listed = at.get(&format!("/api/v1/agents/{}/links", at.agent)).await;
    assert_eq!(listed["items"], json!([made]));
    // Another account can't link there, whatever it carries.
    let theirs = json!({"secrets": {"API_KEY": "theirs"}});
    at.app
        .send(&other, "PUT", &link, Some(theirs))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn one_http_server_for_everybody_takes_none() {
    let at = Account::new().await;
    let http = json!({"type": "streamable_http", "port": 8080, "path": "/mcp"});
    let link = at
        .link_to("http", |tool| tool["transport"] = http.clone())
        .await;
    at.put(&link, json!({})).await.ok(200);
    let refused = at.put(&link, json!({"secrets": {"API_KEY": "mine"}})).await;
    let refused = refused.problem(422, "link_secrets_unsupported");
    let words = refused["detail"].as_str().unwrap();
    assert!(words.contains("deploy an instance of its own"), "{words}");
    at.put(&link, json!({"secrets": {}})).await.ok(200);
    // A version that speaks otherwise than its entry says decides.
    let link = at
        .link_to("version", |tool| {
            tool["versions"][1]["transport"] = http.clone()
        })
        .await;
    at.put(&link, json!({"secrets": {"API_KEY": "mine"}}))
        .await
        .problem(422, "link_secrets_unsupported");
    let mut tool = definition("own-http");
    tool["transport"] = http;
    tool["secrets"] = json!([{"name": "API_KEY", "per_link": true}]);
    let refused = at.app.post(&at.admin, "/api/v1/catalog", tool).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("per_link"), "{}", refused.text);
}

#[tokio::test]
async fn what_everybody_gives_for_themselves_comes_with_the_link_and_not_with_the_instance() {
    let at = Account::new().await;
    let own = json!([{"name": "API_KEY", "per_link": true}]);
    let link = at.link_to("shared", |tool| tool["secrets"] = own).await;
    let body = json!({"catalog": "shared", "secrets": {"API_KEY": "mine"}});
    let refused = at.app.post(&at.admin, "/api/v1/instances", body).await;
    refused.problem(422, "invalid_input");
    for body in [json!({}), json!({"secrets": {}})] {
        at.put(&link, body).await.problem(422, "missing_secret");
    }
    at.put(&link, json!({"secrets": {"API_KEY": "mine"}}))
        .await
        .ok(200);
    at.put(&link, json!({"policy": {"always_prefix": true}}))
        .await
        .ok(200);
    at.put(&link, json!({"secrets": {}}))
        .await
        .problem(422, "missing_secret");
    at.put(&link, json!({"enabled": false, "secrets": {}}))
        .await
        .ok(200);
}
