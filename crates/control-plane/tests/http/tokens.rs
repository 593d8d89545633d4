//! Personal tokens: what they open, and what they don't.

use serde_json::json;

use crate::app::{App, Client};

async fn token(app: &App, by: &Client, scopes: &[&str]) -> (String, Client) {
    let body = json!({"name": "t", "scopes": scopes, "expires_in_seconds": 600});
    let made = app.post(by, "/api/v1/tokens", body).await.ok(201);
    let id = made["record"]["id"].as_str().unwrap().to_owned();
    (id, Client::bearer(made["token"].as_str().unwrap()))
}

#[tokio::test]
async fn scopes_decide() {
    let (app, admin) = App::with_admin().await;
    let (_, reads) = token(&app, &admin, &["read"]).await;
    let (_, writes) = token(&app, &admin, &["write"]).await;
    let (_, admins) = token(&app, &admin, &["admin"]).await;
    let agent = json!({"name": "a"});

    app.get(&reads, "/api/v1/agents").await.ok(200);
    app.post(&reads, "/api/v1/agents", agent.clone())
        .await
        .problem(403, "missing_scope");
    // No CSRF token is asked for: a foreign page can't send the header.
    app.post(&writes, "/api/v1/agents", agent).await.ok(201);
    app.get(&writes, "/api/v1/agents").await.ok(200);
    app.get(&writes, "/api/v1/users")
        .await
        .problem(403, "missing_scope");
    app.get(&admins, "/api/v1/users").await.ok(200);
    app.get(&admins, "/api/v1/agents")
        .await
        .problem(403, "missing_scope");
    let change = json!({"current_password": "x", "new_password": "y"});
    app.post(&writes, "/api/v1/password", change)
        .await
        .problem(403, "forbidden");
    let session = app.get(&reads, "/api/v1/session").await.ok(200);
    assert_eq!(session["csrf_token"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_token_makes_none_that_is_mightier_or_lives_longer() {
    let (app, admin) = App::with_admin().await;
    let (_, writes) = token(&app, &admin, &["write"]).await;
    let mighty = json!({"name": "t", "scopes": ["admin"]});
    app.post(&writes, "/api/v1/tokens", mighty)
        .await
        .problem(403, "missing_scope");
    let (_, child) = token(&app, &writes, &["read"]).await;
    app.get(&child, "/api/v1/agents").await.ok(200);
    app.advance(601);
    app.get(&child, "/api/v1/agents")
        .await
        .problem(401, "not_signed_in");
}

#[tokio::test]
async fn expired_revoked_foreign_and_mistyped_tokens_open_nothing() {
    let (app, admin) = App::with_admin().await;
    let (id, revoked) = token(&app, &admin, &["read"]).await;
    app.get(&revoked, "/api/v1/agents").await.ok(200);
    let path = format!("/api/v1/tokens/{id}");
    app.send(&admin, "DELETE", &path, None).await.ok(204);
    app.send(&admin, "DELETE", &path, None).await.ok(204);
    app.get(&revoked, "/api/v1/agents")
        .await
        .problem(401, "not_signed_in");

    let agent = app
        .post(&admin, "/api/v1/agents", json!({"name": "a"}))
        .await
        .ok(201);
    let agent_id = agent["id"].as_str().unwrap();
    let tokens = format!("/api/v1/agents/{agent_id}/tokens");
    let made = app
        .post(&admin, &tokens, json!({"name": "for the agent"}))
        .await
        .ok(201);
    let agents = Client::bearer(made["token"].as_str().unwrap());
    app.get(&agents, "/api/v1/agents")
        .await
        .problem(401, "not_signed_in");
    let made_id = made["record"]["id"].as_str().unwrap();
    // Each kind is revoked at its own address only.
    app.send(&admin, "DELETE", &format!("/api/v1/tokens/{made_id}"), None)
        .await
        .problem(404, "not_found");
    app.send(&admin, "DELETE", &format!("{tokens}/{id}"), None)
        .await
        .problem(404, "not_found");
    app.send(&admin, "DELETE", &format!("{tokens}/{made_id}"), None)
        .await
        .ok(204);
    let listed = app.get(&admin, &tokens).await.ok(200);
    assert!(listed["items"][0]["revoked_at"].is_string());
    assert_eq!(listed["items"][0]["agent_id"], agent["id"]);

    for bad in ["", "pat_x", "x y", "pat_\u{e4}"] {
        app.get(&Client::bearer(bad), "/api/v1/agents")
            .await
            .problem(401, "not_signed_in");
    }
    // A bad token is not made good by a cookie.
    let both = Client {
        bearer: Some("pat_x".into()),
        ..admin
    };
    app.get(&both, "/api/v1/agents")
        .await
        .problem(401, "not_signed_in");
}

#[tokio::test]
async fn tokens_are_shown_once_and_listed_without_themselves() {
    let (app, admin) = App::with_admin().await;
    let (id, client) = token(&app, &admin, &["read", "read"]).await;
    app.get(&client, "/api/v1/agents").await.ok(200);
    let listed = app.get(&admin, "/api/v1/tokens").await;
    assert!(!listed.text.contains(client.bearer.as_deref().unwrap()));
    let listed = listed.ok(200);
    assert_eq!(listed["items"][0]["id"], id);
    assert_eq!(listed["items"][0]["scopes"], json!(["read"]));
    assert!(listed["items"][0]["last_used_at"].is_string());
}
