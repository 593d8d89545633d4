//! Signing in, staying signed in, and everything that must not sign anybody in.

use http::header;
use serde_json::{Value, json};

use crate::app::{App, Client, PASSWORD, client_of};

#[tokio::test]
async fn a_session_from_signing_in_to_signing_out() {
    let (app, _) = App::with_admin().await;
    let answered = app.try_sign_in("Admin@Example.com", PASSWORD).await;
    let cookie = answered.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let me = client_of(&answered);

    let shown = app.get(&me, "/api/v1/session").await.ok(200);
    assert_eq!(shown["user"]["email"], "admin@example.com");
    assert_eq!(shown["csrf_token"].as_str(), me.csrf.as_deref());

    let gone = app.send(&me, "DELETE", "/api/v1/session", None).await;
    assert!(
        gone.headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    gone.ok(204);
    app.get(&me, "/api/v1/session")
        .await
        .problem(401, "not_signed_in");
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let (app, admin) = App::with_admin().await;
    app.advance(app.state.config.session_lifetime_seconds - 60);
    app.get(&admin, "/api/v1/session").await.ok(200);
    app.advance(61);
    app.get(&admin, "/api/v1/session")
        .await
        .problem(401, "not_signed_in");
}

#[tokio::test]
async fn unknown_disabled_and_wrong_look_the_same() {
    let (app, admin) = App::with_admin().await;
    let body = json!({"email": "bo@example.com", "password": PASSWORD, "role": "user"});
    let bo = app.post(&admin, "/api/v1/users", body).await.ok(201);
    let path = format!("/api/v1/users/{}", bo["id"].as_str().unwrap());
    app.send(&admin, "PATCH", &path, Some(json!({"disabled": true})))
        .await
        .ok(200);

    let mut answers = Vec::new();
    for (email, password) in [
        ("admin@example.com", "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("bo@example.com", PASSWORD),
        ("not an address", PASSWORD),
    ] {
        let mut problem = app
            .try_sign_in(email, password)
            .await
            .problem(401, "wrong_credentials");
        problem["request_id"] = Value::Null;
        answers.push(problem);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_waiting_helps() {
    let (app, _) = App::with_admin().await;
    for _ in 0..5 {
        app.try_sign_in("admin@example.com", "wrong password")
            .await
            .problem(401, "wrong_credentials");
    }
    let refused = app.try_sign_in("ADMIN@example.com", PASSWORD).await;
    let problem = refused.problem(429, "too_many_attempts");
    let wait: u64 = refused.headers[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(problem["retry_after_seconds"], wait);

    app.try_sign_in("other@example.com", PASSWORD)
        .await
        .problem(401, "wrong_credentials");
    app.advance(61);
    app.sign_in("admin@example.com", PASSWORD).await;
    // Having signed in, one starts anew.
    for _ in 0..5 {
        app.try_sign_in("admin@example.com", "wrong password")
            .await
            .problem(401, "wrong_credentials");
    }
}

#[tokio::test]
async fn nobody_is_locked_out_by_guesses_from_elsewhere() {
    let (app, _) = App::with_admin().await;
    for _ in 0..5 {
        app.try_sign_in("admin@example.com", "wrong password")
            .await
            .problem(401, "wrong_credentials");
    }
    app.try_sign_in("admin@example.com", PASSWORD)
        .await
        .problem(429, "too_many_attempts");
    let elsewhere = std::net::SocketAddr::from(([198, 51, 100, 9], 1));
    let body = json!({"email": "admin@example.com", "password": PASSWORD});
    let mut request = Client::default()
        .request("POST", "/api/v1/session")
        .header(header::CONTENT_TYPE, "application/json")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    request
        .extensions_mut()
        .insert(axum::extract::ConnectInfo(elsewhere));
    app.raw(request).await.ok(201);
}

#[tokio::test]
async fn unknown_addresses_are_slowed_down_like_known_ones() {
    let app = App::start().await;
    for _ in 0..5 {
        app.try_sign_in("nobody@example.com", PASSWORD)
            .await
            .problem(401, "wrong_credentials");
    }
    app.try_sign_in("nobody@example.com", PASSWORD)
        .await
        .problem(429, "too_many_attempts");
}

#[tokio::test]
async fn changes_by_cookie_need_the_csrf_token() {
    let (app, admin) = App::with_admin().await;
    let body = json!({"name": "a"});
    for csrf in [None, Some("0".repeat(64)), Some(String::new())] {
        let client = Client {
            csrf,
            ..admin.clone()
        };
        app.post(&client, "/api/v1/agents", body.clone())
            .await
            .problem(403, "csrf_token_required");
    }
    let other = app.sign_in("admin@example.com", PASSWORD).await;
    let client = Client {
        csrf: other.csrf,
        ..admin.clone()
    };
    app.post(&client, "/api/v1/agents", body.clone())
        .await
        .problem(403, "csrf_token_required");
    let agents = app.get(&admin, "/api/v1/agents").await.ok(200);
    assert_eq!(agents["items"], json!([]), "nothing was changed");
    app.post(&admin, "/api/v1/agents", body).await.ok(201);
}

#[tokio::test]
async fn foreign_pages_and_foreign_names_are_refused() {
    let (app, admin) = App::with_admin().await;
    let send = |host: &str, origin: Option<&str>| {
        let mut request = admin.request("GET", "/api/v1/session");
        request
            .headers_mut()
            .unwrap()
            .insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        app.raw(request.body(axum::body::Body::empty()).unwrap())
    };
    send("127.0.0.1:8080", None).await.ok(200);
    send("localhost:8080", Some("http://localhost:8080"))
        .await
        .ok(200);
    send("rebound.example", None)
        .await
        .problem(421, "unknown_host");
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost:3000",
        "http://127.0.0.1:8080.evil.example",
    ] {
        send("127.0.0.1:8080", Some(origin))
            .await
            .problem(403, "foreign_origin");
    }
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let (app, admin) = App::with_admin().await;
    let other = app.sign_in("admin@example.com", PASSWORD).await;
    let path = "/api/v1/password";
    let body = |current: &str| json!({"current_password": current, "new_password": "another long password"});
    app.post(&admin, path, body("wrong password"))
        .await
        .problem(401, "wrong_credentials");
    let changed = app.post(&admin, path, body(PASSWORD)).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let anew = client_of(&changed);
    app.get(&anew, "/api/v1/session").await.ok(200);
    for ended in [&admin, &other] {
        app.get(ended, "/api/v1/session")
            .await
            .problem(401, "not_signed_in");
    }
    app.try_sign_in("admin@example.com", PASSWORD)
        .await
        .problem(401, "wrong_credentials");
    app.sign_in("admin@example.com", "another long password")
        .await;
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let app = App::start().await;
    let nobody = Client::default();
    for path in ["/", "/health", "/api/v1/session", "/api/v1/nothing"] {
        let answered = app.get(&nobody, path).await;
        assert_eq!(answered.headers["x-content-type-options"], "nosniff");
        assert_eq!(answered.headers["x-frame-options"], "DENY");
        assert!(answered.headers.contains_key("content-security-policy"));
        assert!(answered.headers.contains_key("x-request-id"));
    }
    let page = app.get(&nobody, "/").await;
    assert!(page.text.contains("npm"), "says how to build the UI");
    let ready = app.get(&nobody, "/ready").await.ok(200);
    assert_eq!(ready["ready"], true);
    app.state.store.close().await.unwrap();
    let ready = app.get(&nobody, "/ready").await.ok(503);
    assert_eq!(ready["dependencies"][0]["name"], "database");
    app.get(&nobody, "/health").await.ok(200);
}
