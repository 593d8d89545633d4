//! Codes and tokens: for one client, one address, one endpoint, once.

use serde_json::Value;

use super::browser::{BASE, Scene, challenge, open, post, register};
use crate::app::{Answered, App};

fn refused(answered: Answered) -> Value {
    let error = answered.ok(400);
    assert!(!error["error_description"].as_str().unwrap().is_empty());
    error["error"].clone()
}

#[tokio::test]
async fn a_code_is_worth_something_to_its_client_alone() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let other = register(&app, &["http://127.0.0.1/callback"]).await;
    let code = scene.code(&app).await;
    let good = scene.redemption(&code);
    for (name, value, error) in [
        ("code_verifier", challenge("x"), "invalid_grant"),
        (
            "code_verifier",
            challenge(super::browser::VERIFIER),
            "invalid_grant",
        ),
        ("client_id", other, "invalid_grant"),
        (
            "redirect_uri",
            "http://127.0.0.1:7778/callback".to_owned(),
            "invalid_grant",
        ),
        (
            "redirect_uri",
            "https://evil.example/".to_owned(),
            "invalid_grant",
        ),
        (
            "resource",
            format!("{BASE}/agents/{}/sse", scene.agent),
            "invalid_target",
        ),
        (
            "resource",
            "https://evil.example/mcp".to_owned(),
            "invalid_target",
        ),
        ("code", "oac_x".to_owned(), "invalid_grant"),
        (
            "grant_type",
            "password".to_owned(),
            "unsupported_grant_type",
        ),
    ] {
        let mut bad = good.clone();
        bad.insert(name, value);
        assert_eq!(
            refused(post(&app, "/oauth/token", &bad).await),
            error,
            "{name}"
        );
    }
    for name in [
        "code",
        "client_id",
        "redirect_uri",
        "code_verifier",
        "grant_type",
    ] {
        let mut bad = good.clone();
        bad.remove(name);
        assert_eq!(
            refused(post(&app, "/oauth/token", &bad).await),
            "invalid_request",
            "{name}"
        );
    }
    // Nothing of this used it up.
    post(&app, "/oauth/token", &good).await.ok(200);
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_the_first_gave() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let code = scene.code(&app).await;
    let tokens = post(&app, "/oauth/token", &scene.redemption(&code))
        .await
        .ok(200);
    assert_eq!(open(&app).await, 1);
    let again = post(&app, "/oauth/token", &scene.redemption(&code)).await;
    assert_eq!(refused(again), "invalid_grant");
    assert_eq!(open(&app).await, 0);
    let refresh = scene.refreshing(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(
        refused(post(&app, "/oauth/token", &refresh).await),
        "invalid_grant"
    );
    let events = app.get(&admin, "/api/v1/events").await.text;
    assert!(events.contains("grant.reuse_detected"), "{events}");
}

#[tokio::test]
async fn a_code_is_over_after_a_minute() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let code = scene.code(&app).await;
    app.advance(61);
    let late = post(&app, "/oauth/token", &scene.redemption(&code)).await;
    assert_eq!(refused(late), "invalid_grant");
}

#[tokio::test]
async fn many_at_once_redeem_a_code_once() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let code = scene.code(&app).await;
    let form = scene.redemption(&code);
    let all = (0..10).map(|_| post(&app, "/oauth/token", &form));
    let answered = futures::future::join_all(all).await;
    let given = answered
        .iter()
        .filter(|answered| answered.status == 200)
        .count();
    assert_eq!(given, 1);
    assert_eq!(open(&app).await, 0, "and that one was taken back");
}

#[tokio::test]
async fn refresh_tokens_are_turned_and_the_second_use_of_one_ends_all() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let first = scene.tokens(&app).await;
    let text = |tokens: &Value| tokens["refresh_token"].as_str().unwrap().to_owned();
    app.advance(3601);
    assert_eq!(open(&app).await, 0, "an hour is over");
    let second = post(&app, "/oauth/token", &scene.refreshing(&text(&first)))
        .await
        .ok(200);
    assert_ne!(text(&first), text(&second));
    assert_eq!(open(&app).await, 1);

    let mut foreign = scene.refreshing(&text(&second));
    foreign.insert(
        "client_id",
        register(&app, &["http://127.0.0.1/callback"]).await,
    );
    assert_eq!(
        refused(post(&app, "/oauth/token", &foreign).await),
        "invalid_grant"
    );
    let mut elsewhere = scene.refreshing(&text(&second));
    elsewhere.insert(
        "resource",
        format!("{BASE}/agents/{}/mcp", uuid::Uuid::nil()),
    );
    assert_eq!(
        refused(post(&app, "/oauth/token", &elsewhere).await),
        "invalid_target"
    );
    assert_eq!(open(&app).await, 1);

    let stolen = post(&app, "/oauth/token", &scene.refreshing(&text(&first))).await;
    assert_eq!(refused(stolen), "invalid_grant");
    assert_eq!(open(&app).await, 0);
    let owner = post(&app, "/oauth/token", &scene.refreshing(&text(&second))).await;
    assert_eq!(refused(owner), "invalid_grant");
}

#[tokio::test]
async fn who_stays_away_for_a_month_signs_in_again() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let tokens = scene.tokens(&app).await;
    app.advance(31 * 24 * 3600);
    let refresh = scene.refreshing(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(
        refused(post(&app, "/oauth/token", &refresh).await),
        "invalid_grant"
    );
    let store = &app.state.store;
    store.grants().prune(app.state.ambient.now()).await.unwrap();
    store
        .oauth_clients()
        .prune(app.state.ambient.now())
        .await
        .unwrap();
    assert!(store.gateway_snapshot().await.unwrap().logins.is_empty());
}

#[tokio::test]
async fn a_client_signs_itself_out_and_nobody_else() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    for kind in ["access_token", "refresh_token"] {
        let tokens = scene.tokens(&app).await;
        let mut form = super::browser::Parameters::from([
            ("token", tokens[kind].as_str().unwrap().to_owned()),
            ("client_id", "somebody".to_owned()),
        ]);
        assert_eq!(post(&app, "/oauth/revoke", &form).await.status, 200);
        assert_eq!(open(&app).await, 1, "another client's word does not count");
        form.insert("client_id", scene.client_id.clone());
        assert_eq!(post(&app, "/oauth/revoke", &form).await.status, 200);
        assert_eq!(open(&app).await, 0);
        assert_eq!(
            post(&app, "/oauth/revoke", &form).await.status,
            200,
            "twice"
        );
    }
    let unknown = super::browser::Parameters::from([
        ("token", "x".to_owned()),
        ("client_id", scene.client_id.clone()),
    ]);
    assert_eq!(post(&app, "/oauth/revoke", &unknown).await.status, 200);
}
