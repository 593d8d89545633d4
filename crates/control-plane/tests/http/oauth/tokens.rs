//! Codes and tokens: for one client, one address, one endpoint, once.

use agentopia_control_plane::mcp_gateway::people::Owners;
use agentopia_domain::token::TokenHash;
use agentopia_gateway::PrincipalAuthoriser as _;
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

/// Another replica's gateway has the token in its table some seconds later.
#[tokio::test]
async fn a_gateway_that_has_not_heard_of_a_login_yet_asks() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let tokens = scene.tokens(&app).await;
    let owners = Owners {
        store: app.state.store.clone(),
        ambient: app.state.ambient.clone(),
    };
    let hash = |kind: &str| TokenHash::of(tokens[kind].as_str().unwrap());
    let route = owners.login(hash("access_token")).await.unwrap();
    assert_eq!(route.agent_id.to_string(), scene.agent);
    assert!(route.login.is_some());
    assert_eq!(owners.login(hash("refresh_token")).await, None);
    app.advance(3601);
    assert_eq!(owners.login(hash("access_token")).await, None);
    let next = scene.refreshing(tokens["refresh_token"].as_str().unwrap());
    let next = post(&app, "/oauth/token", &next).await.ok(200);
    let hash = TokenHash::of(next["access_token"].as_str().unwrap());
    let renewed = owners.login(hash).await.unwrap();
    assert_eq!(renewed.login, route.login, "sessions go on");
    let agent = format!("/api/v1/agents/{}", scene.agent);
    app.send(&admin, "DELETE", &agent, None).await.ok(204);
    assert_eq!(owners.login(hash).await, None);
}

/// At an instance's own address a login speaks for its person, and for no other instance.
#[tokio::test]
async fn a_login_at_an_instance_opens_this_instance_alone() {
    let (app, admin) = App::with_admin().await;
    let mut scene = Scene::new(&app, &admin).await;
    let mut tool = crate::app::definition("echo");
    tool["secrets"] = serde_json::json!([]);
    app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let body = serde_json::json!({"catalog": "echo", "name": name});
        let made = app.post(&admin, "/api/v1/instances", body).await.ok(202);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let resource = format!("{BASE}/instances/{}/mcp", ids[0]);
    scene.request.insert("resource", resource);
    let tokens = scene.tokens(&app).await;
    assert_eq!(open(&app).await, 0, "it is no agent's");
    let owners = Owners {
        store: app.state.store.clone(),
        ambient: app.state.ambient.clone(),
    };
    let read = app.state.store.gateway_snapshot().await.unwrap();
    let routes = agentopia_control_plane::reconcilers::routes::routes(read).instances;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::AUTHORIZATION, bearer.parse().unwrap());
    for route in &routes {
        let let_in = owners.authorise(&headers, route).await;
        assert_eq!(
            let_in.is_some(),
            route.id.to_string() == ids[0],
            "{}",
            route.name
        );
    }
    let grants = app.get(&admin, "/api/v1/grants").await.ok(200);
    assert_eq!(grants["items"][0]["instance_id"], ids[0].as_str());
    let one = format!(
        "/api/v1/grants/{}",
        grants["items"][0]["id"].as_str().unwrap()
    );
    app.send(&admin, "DELETE", &one, None).await.ok(204);
    for route in &routes {
        assert_eq!(owners.authorise(&headers, route).await, None);
    }
}
