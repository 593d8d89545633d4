//! What people see of it and take back.

use serde_json::{Value, json};

use super::browser::{Scene, open, post};
use crate::app::App;

#[tokio::test]
async fn a_grant_is_seen_and_taken_back() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    scene.code(&app).await;
    let path = format!("/api/v1/agents/{}/grants", scene.agent);
    let list = app.get(&admin, &path).await.ok(200);
    assert_eq!(list["items"], json!([]), "nobody took the code yet");
    let tokens = scene.tokens(&app).await;
    let list = app.get(&admin, &path).await;
    for secret in ["access_token", "refresh_token"] {
        assert!(!list.text.contains(tokens[secret].as_str().unwrap()));
    }
    let list = list.ok(200);
    let grant = &list["items"][0];
    assert_eq!(grant["client_name"], "Test program");
    assert_eq!(grant["agent_id"], scene.agent.as_str());
    assert_eq!(grant["resource"], scene.request["resource"].as_str());
    assert_eq!(
        app.get(&admin, "/api/v1/grants").await.ok(200)["items"],
        list["items"]
    );

    let bo = app.user(&admin, "bo").await;
    let one = format!("/api/v1/grants/{}", grant["id"].as_str().unwrap());
    app.get(&bo, &path).await.problem(404, "not_found");
    app.send(&bo, "DELETE", &one, None)
        .await
        .problem(404, "not_found");
    assert_eq!(
        app.get(&bo, "/api/v1/grants").await.ok(200)["items"],
        json!([])
    );
    assert_eq!(open(&app).await, 1);

    app.world.take_woken();
    app.send(&admin, "DELETE", &one, None).await.ok(204);
    app.send(&admin, "DELETE", &one, None).await.ok(204);
    assert!(app.world.take_woken().contains(&"routes".to_owned()));
    assert_eq!(open(&app).await, 0);
    let refresh = scene.refreshing(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(
        post(&app, "/oauth/token", &refresh).await.ok(400)["error"],
        "invalid_grant"
    );
    assert_eq!(app.get(&admin, &path).await.ok(200)["items"], json!([]));
    let events = app.get(&admin, "/api/v1/events").await.ok(200);
    let kinds: Vec<&Value> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["kind"])
        .collect();
    for kind in ["grant.created", "grant.revoked"] {
        assert!(kinds.iter().any(|one| *one == kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn grants_end_with_their_agent() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let tokens = scene.tokens(&app).await;
    let code = scene.code(&app).await;
    let agent = format!("/api/v1/agents/{}", scene.agent);
    app.send(&admin, "DELETE", &agent, None).await.ok(204);
    assert_eq!(open(&app).await, 0);
    for form in [
        scene.refreshing(tokens["refresh_token"].as_str().unwrap()),
        scene.redemption(&code),
    ] {
        assert_eq!(
            post(&app, "/oauth/token", &form).await.ok(400)["error"],
            "invalid_grant"
        );
    }
}

#[tokio::test]
async fn grants_of_a_disabled_person_do_not_come_back_with_them() {
    let (app, admin) = App::with_admin().await;
    let second =
        json!({"email": "eve@example.com", "password": crate::app::PASSWORD, "role": "admin"});
    app.post(&admin, "/api/v1/users", second).await.ok(201);
    let eve = app.sign_in("eve@example.com", crate::app::PASSWORD).await;
    let scene = Scene::new(&app, &admin).await;
    let tokens = scene.tokens(&app).await;
    let users = app.get(&eve, "/api/v1/users").await.ok(200);
    let users = users["items"].as_array().unwrap();
    let ada = users
        .iter()
        .find(|user| user["email"] == "admin@example.com")
        .unwrap();
    let path = format!("/api/v1/users/{}", ada["id"].as_str().unwrap());
    app.send(&eve, "PATCH", &path, Some(json!({"disabled": true})))
        .await
        .ok(200);
    assert_eq!(open(&app).await, 0);
    app.send(&eve, "PATCH", &path, Some(json!({"disabled": false})))
        .await
        .ok(200);
    assert_eq!(open(&app).await, 0);
    let refresh = scene.refreshing(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(
        post(&app, "/oauth/token", &refresh).await.ok(400)["error"],
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_new_password_ends_what_clients_were_allowed() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let tokens = scene.tokens(&app).await;
    assert_eq!(open(&app).await, 1);
    let change = json!({
        "current_password": crate::app::PASSWORD,
        "new_password": "another long password",
    });
    let changed = app.post(&admin, "/api/v1/password", change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(open(&app).await, 0);
    let refresh = scene.refreshing(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(
        post(&app, "/oauth/token", &refresh).await.ok(400)["error"],
        "invalid_grant"
    );
}
