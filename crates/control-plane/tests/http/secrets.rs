//! Secrets go in and never come out.

use serde_json::{Value, json};

use crate::app::{App, Client};

const CANARY: &str = "canary-4f1e9a77-never-to-be-seen";

async fn put(app: &App, client: &Client, name: &str, value: &str) -> crate::app::Answered {
    let path = format!("/api/v1/secrets/{name}");
    app.send(client, "PUT", &path, Some(json!({"value": value})))
        .await
}

#[tokio::test]
async fn a_value_is_written_rotated_and_never_read_back() {
    let (app, admin) = App::with_admin().await;
    let made = put(&app, &admin, "my%20key", CANARY).await;
    assert!(!made.text.contains(CANARY));
    let made = made.ok(201);
    assert_eq!(made["name"], "my key");
    assert_eq!(made["revision"], 1);
    let rotated = put(&app, &admin, "my%20key", &format!("{CANARY}-2")).await;
    assert_eq!(rotated.ok(200)["revision"], 2);
    let by_id = put(&app, &admin, made["id"].as_str().unwrap(), CANARY).await;
    assert_eq!(by_id.ok(200)["revision"], 3);
    put(&app, &admin, &uuid::Uuid::nil().to_string(), "x")
        .await
        .problem(404, "not_found");
    for path in ["/api/v1/secrets", "/api/v1/events"] {
        let answered = app.get(&admin, path).await;
        assert_eq!(answered.status, 200);
        assert!(!answered.text.contains("canary"), "{path}");
    }
    let login = json!({"username": "me", "password": CANARY});
    let answered = app
        .send(
            &admin,
            "PUT",
            "/api/v1/registry-logins/127.0.0.1:5000",
            Some(login),
        )
        .await;
    assert!(!answered.text.contains(CANARY));
    assert_eq!(answered.ok(200)["host"], "127.0.0.1:5000");

    let mut files = 0;
    for file in std::fs::read_dir(app.dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let found = bytes
            .windows(CANARY.len())
            .any(|window| window == CANARY.as_bytes());
        assert!(!found, "the value stands on disk");
        files += 1;
    }
    assert!(files > 0);
}

#[tokio::test]
async fn many_at_once_all_get_through() {
    let (app, admin) = App::with_admin().await;
    let answers =
        futures::future::join_all((0..4).map(|_| put(&app, &admin, "key", "value"))).await;
    for answer in &answers {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    let listed = app.get(&admin, "/api/v1/secrets").await.ok(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["revision"], 4);
}

#[tokio::test]
async fn a_secret_in_use_stays_and_its_readers_are_restarted() {
    let (app, admin) = App::with_admin().await;
    app.catalog_entry(&admin, "clock").await;
    put(&app, &admin, "key", "one").await.ok(201);
    let body = json!({"catalog": "clock", "name": "reader", "secrets": {"API_KEY": "key"}});
    let instance = app.post(&admin, "/api/v1/instances", body).await.ok(202);
    app.world.take_woken();

    let rotated = put(&app, &admin, "key", "two").await.ok(200);
    assert_eq!(rotated["used_by"][0]["instance_name"], "reader");
    assert_eq!(
        app.world.take_woken(),
        [format!("instance {}", instance["id"].as_str().unwrap())]
    );
    let refused = app
        .send(&admin, "DELETE", "/api/v1/secrets/key", None)
        .await
        .problem(409, "secret_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("reader"));
    put(&app, &admin, "spare", "x").await.ok(201);
    app.send(&admin, "DELETE", "/api/v1/secrets/spare", None)
        .await
        .ok(204);
    app.send(&admin, "DELETE", "/api/v1/secrets/spare", None)
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn registry_logins_are_set_listed_and_taken_away() {
    let (app, admin) = App::with_admin().await;
    let path = "/api/v1/registry-logins/registry.example.com";
    let body = json!({"username": "me", "password": "secret"});
    app.send(&admin, "PUT", path, Some(body.clone()))
        .await
        .ok(200);
    app.send(&admin, "PUT", path, Some(body.clone()))
        .await
        .ok(200);
    app.send(
        &admin,
        "PUT",
        "/api/v1/registry-logins/registry",
        Some(body),
    )
    .await
    .problem(422, "invalid_input");
    let listed = app.get(&admin, "/api/v1/registry-logins").await.ok(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["username"], "me");
    assert_eq!(listed["items"][0]["password"], Value::Null);
    app.send(&admin, "DELETE", path, None).await.ok(204);
    app.send(&admin, "DELETE", path, None)
        .await
        .problem(404, "not_found");
}
