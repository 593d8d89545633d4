//! Who may have the installation looked at, and that the health check tells which one it is.

use crate::app::{App, Client};

#[tokio::test]
async fn an_admin_gets_every_check_whatever_was_found() {
    let (app, admin) = App::with_admin().await;
    let nothing = serde_json::Value::Null;
    let answered = app
        .post(&admin, "/api/v1/verification", nothing.clone())
        .await;
    let found = answered.ok(200);
    assert_eq!(found["public_url"], "http://127.0.0.1:8080");
    assert_eq!(found["checks"][0]["name"], "provider.token");
    assert_eq!(found["checks"][0]["outcome"], "failed");
    let health = app.get(&Client::default(), "/health").await.ok(200);
    assert_eq!(health["installation"], found["installation"]);

    let user = app.user(&admin, "somebody").await;
    let refused = app.post(&user, "/api/v1/verification", nothing).await;
    refused.problem(403, "forbidden");
}
