//! Admins add people and shut them out.

use serde_json::json;

use crate::app::{App, Client, PASSWORD};

#[tokio::test]
async fn users_are_admins_business() {
    let (app, admin) = App::with_admin().await;
    let bo = app.user(&admin, "bo").await;
    app.get(&bo, "/api/v1/users")
        .await
        .problem(403, "forbidden");
    let body = json!({"email": "BO@example.com", "password": PASSWORD, "role": "user"});
    app.post(&bo, "/api/v1/users", body.clone())
        .await
        .problem(403, "forbidden");
    app.post(&admin, "/api/v1/users", body)
        .await
        .problem(409, "duplicate");
    let first = app.get(&admin, "/api/v1/users?limit=1").await.ok(200);
    assert_eq!(first["items"][0]["email"], "admin@example.com");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app
        .get(&admin, &format!("/api/v1/users?cursor={cursor}"))
        .await
        .ok(200);
    assert_eq!(second["items"][0]["email"], "bo@example.com");
    assert_eq!(second["next_cursor"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_with_every_token() {
    let (app, admin) = App::with_admin().await;
    let bo = app.user(&admin, "bo").await;
    let made = app
        .post(
            &bo,
            "/api/v1/tokens",
            json!({"name": "t", "scopes": ["read"]}),
        )
        .await
        .ok(201);
    let token = Client::bearer(made["token"].as_str().unwrap());
    app.get(&token, "/api/v1/agents").await.ok(200);

    let id = app.get(&bo, "/api/v1/session").await.ok(200)["user"]["id"].clone();
    let path = format!("/api/v1/users/{}", id.as_str().unwrap());
    let change =
        |disabled: bool| app.send(&admin, "PATCH", &path, Some(json!({"disabled": disabled})));
    assert_eq!(change(true).await.ok(200)["disabled"], true);
    for client in [&bo, &token] {
        app.get(client, "/api/v1/agents")
            .await
            .problem(401, "not_signed_in");
    }
    change(false).await.ok(200);
    app.get(&token, "/api/v1/agents").await.ok(200);

    let me = app.get(&admin, "/api/v1/session").await.ok(200)["user"]["id"].clone();
    let own = format!("/api/v1/users/{}", me.as_str().unwrap());
    app.send(&admin, "PATCH", &own, Some(json!({"disabled": true})))
        .await
        .problem(409, "own_account");
}
