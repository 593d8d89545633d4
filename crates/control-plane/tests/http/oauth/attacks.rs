//! Attacks of MCP's security best practices and of RFC 9700, each as a test.

use http::header;

use super::browser::{BASE, Browser, Scene, answer, encode, form, location, open, post, register};
use crate::app::App;

/// Open redirect: whoever has not signed in is never sent on by itself, and nobody to an address
/// that is not the client's.
#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_the_clients() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut signed_in = Browser::default();
    signed_in
        .consent_page(&app, &encode(&scene.request), "admin@example.com")
        .await;
    for (name, value) in [
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", "http://127.0.0.1:7777/callback/"),
        ("redirect_uri", "http://127.0.0.1:7777/callback?x=1"),
        (
            "redirect_uri",
            "http://127.0.0.1:7777@evil.example/callback",
        ),
        ("redirect_uri", "http://localhost:7777/callback"),
        ("redirect_uri", "javascript:alert(1)"),
        ("client_id", "00000000-0000-0000-0000-000000000000"),
        ("client_id", "'><script>alert(1)</script>"),
    ] {
        for browser in [&mut Browser::default(), &mut signed_in] {
            let query = encode(&scene.with(name, value));
            let page = browser
                .get(&app, &format!("/oauth/authorize?{query}"))
                .await;
            assert!(page.status.is_client_error(), "{value}: {}", page.status);
            assert!(!page.headers.contains_key(header::LOCATION), "{value}");
            assert!(
                !page.text.contains("evil.example"),
                "{value}: {}",
                page.text
            );
            assert!(!page.text.contains("<script"), "{value}");
        }
    }
    for missing in ["redirect_uri", "client_id"] {
        let query = encode(&scene.without(missing));
        let page = signed_in
            .get(&app, &format!("/oauth/authorize?{query}"))
            .await;
        assert!(!page.headers.contains_key(header::LOCATION), "{missing}");
    }
    let twice = format!(
        "{}&redirect_uri=https://evil.example/",
        encode(&scene.request)
    );
    let page = signed_in
        .get(&app, &format!("/oauth/authorize?{twice}"))
        .await;
    assert_eq!(page.status, 400);
}

/// Downgrades, other resources, other answers: the client hears why, with our issuer (mix-up), once
/// somebody is signed in.
#[tokio::test]
async fn what_is_wrong_is_told_to_the_client_with_our_issuer() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut signed_in = Browser::default();
    signed_in
        .consent_page(&app, &encode(&scene.request), "admin@example.com")
        .await;
    let foreign = "https://other.example/agents/x/mcp";
    for (request, error) in [
        (scene.without("code_challenge"), "invalid_request"),
        (scene.without("code_challenge_method"), "invalid_request"),
        (
            scene.with("code_challenge_method", "plain"),
            "invalid_request",
        ),
        (scene.with("code_challenge", "short"), "invalid_request"),
        (
            scene.with("response_type", "token"),
            "unsupported_response_type",
        ),
        (scene.with("response_mode", "fragment"), "invalid_request"),
        (scene.with("scope", "admin"), "invalid_scope"),
        (scene.without("resource"), "invalid_target"),
        (scene.with("resource", foreign), "invalid_target"),
        (scene.with("resource", BASE), "invalid_target"),
        (scene.with("prompt", "none"), "interaction_required"),
        (
            scene.with("request_uri", "https://evil.example/"),
            "request_not_supported",
        ),
    ] {
        let path = format!("/oauth/authorize?{}", encode(&request));
        let told = answer(&signed_in.get(&app, &path).await);
        assert_eq!(told["error"], error, "{request:?}");
        assert_eq!(told["iss"], BASE);
        assert_eq!(told["state"], "xyz & é");
        // A browser in which nobody is signed in stays here: a link with our name leads nowhere.
        let page = Browser::default().get(&app, &path).await;
        assert_eq!(page.status, 400);
        assert!(!page.headers.contains_key(header::LOCATION));
    }
}

/// Confused deputy: consent is per client and each time, whoever was let in before.
#[tokio::test]
async fn a_second_client_gets_nothing_out_of_the_consent_to_the_first() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut browser = Browser::default();
    let first = browser
        .consent_page(&app, &encode(&scene.request), "admin@example.com")
        .await;
    let (_, hidden) = form(&first);
    let evil = register(&app, &["https://evil.example/cb"]).await;
    let mut request = scene.with("client_id", &evil);
    request.insert("redirect_uri", "https://evil.example/cb".to_owned());
    let query = encode(&request);
    let page = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("evil.example"),
        "where the answer goes is shown"
    );
    // The token of the form that was shown for the first client does not fit the second's.
    let body = format!("csrf={}&decision=allow", hidden[0].1);
    let path = format!("/oauth/consent?{query}");
    let forged = browser
        .send(&app, "POST", &path, Some(body), Some(BASE))
        .await;
    assert_eq!(forged.status, 403);
}

#[tokio::test]
async fn another_persons_agent_can_not_be_consented_to() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    app.user(&admin, "bo").await;
    let mut bo = Browser::default();
    let foreign = bo
        .consent_page(&app, &encode(&scene.request), "bo@example.com")
        .await;
    let unknown = scene.with(
        "resource",
        &format!("{BASE}/agents/{}/mcp", uuid::Uuid::nil()),
    );
    let unknown = bo
        .consent_page(&app, &encode(&unknown), "bo@example.com")
        .await;
    assert_eq!(
        (foreign.status, unknown.status),
        (http::StatusCode::NOT_FOUND, http::StatusCode::NOT_FOUND)
    );
    let sentence = |page: &str| {
        page.split("wrong\">")
            .nth(1)
            .unwrap()
            .split("</p>")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(sentence(&foreign.text), sentence(&unknown.text));
    assert_eq!(open(&app).await, 0);
}

/// Forms of foreign pages: neither the sign-in nor the consent can be sent by one.
#[tokio::test]
async fn forms_of_other_pages_are_refused() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let query = encode(&scene.request);
    let mut browser = Browser::default();
    let login = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    let (action, hidden) = form(&login);
    let fields = format!(
        "email=admin%40example.com&password={}",
        crate::app::PASSWORD.replace(' ', "+")
    );
    let good = format!("csrf={}&{fields}", hidden[0].1);
    let bad = format!("csrf={}&{fields}", "0".repeat(64));
    for (body, origin) in [
        (fields.clone(), Some(BASE)),
        (bad, Some(BASE)),
        (good.clone(), Some("https://evil.example")),
        (good.clone(), Some("null")),
    ] {
        let refused = browser
            .send(&app, "POST", &action, Some(body), origin)
            .await;
        assert_eq!(refused.status, 403, "{origin:?}");
        assert!(!refused.headers.contains_key(header::SET_COOKIE));
    }
    // Without the cookie that the form was made for.
    let refused = Browser::default()
        .send(&app, "POST", &action, Some(good), Some(BASE))
        .await;
    assert_eq!(refused.status, 403);

    let consent = browser
        .consent_page(&app, &query, "admin@example.com")
        .await;
    let (action, hidden) = form(&consent);
    let good = format!("csrf={}&decision=allow", hidden[0].1);
    for (body, origin) in [
        ("decision=allow".to_owned(), Some(BASE)),
        (
            format!("csrf={}&decision=allow", "0".repeat(64)),
            Some(BASE),
        ),
        (good.clone(), Some("https://evil.example")),
        (good.clone(), Some("null")),
    ] {
        let refused = browser
            .send(&app, "POST", &action, Some(body), origin)
            .await;
        assert_eq!(refused.status, 403, "{origin:?}");
    }
    // Who is not signed in is asked to, whatever the form says.
    let stranger = Browser::default()
        .send(&app, "POST", &action, Some(good), Some(BASE))
        .await;
    assert!(location(&stranger).starts_with("/oauth/authorize?"));
}

/// Clickjacking, scripts, and what is kept: the pages' headers.
#[tokio::test]
async fn the_pages_can_be_neither_framed_nor_scripted_nor_kept() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut browser = Browser::default();
    let query = encode(&scene.request);
    let login = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    let cookie = login.headers[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let consent = browser
        .consent_page(&app, &query, "admin@example.com")
        .await;
    for page in [&login, &consent] {
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        assert!(
            !policy.contains("unsafe") && !policy.contains("script-src"),
            "{policy}"
        );
        assert_eq!(page.headers["x-frame-options"], "DENY");
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(page.headers["referrer-policy"], "same-origin");
    }
    let policy = consent.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:7777;"),
        "{policy}"
    );
}

/// A name that a client gives itself is text.
#[tokio::test]
async fn a_clients_name_is_only_text() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let body = serde_json::json!({"client_name": "<img src=x onerror=alert(1)>\u{202e}",
        "redirect_uris": ["http://127.0.0.1/callback"]});
    let made = app
        .post(&crate::app::Client::default(), "/oauth/register", body)
        .await
        .ok(201);
    let query = encode(&scene.with("client_id", made["client_id"].as_str().unwrap()));
    let mut browser = Browser::default();
    let login = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    let consent = browser
        .consent_page(&app, &query, "admin@example.com")
        .await;
    for page in [login, consent] {
        assert!(page.text.contains("&lt;img src=x"), "{}", page.text);
        assert!(!page.text.contains("<img") && !page.text.contains('\u{202e}'));
    }
}

/// Passwords can't be guessed here faster than elsewhere.
#[tokio::test]
async fn guessing_is_slow_here_too() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut browser = Browser::default();
    let path = format!("/oauth/authorize?{}", encode(&scene.request));
    let mut page = browser.get(&app, &path).await;
    let wrong = [("email", "admin@example.com"), ("password", "wrong")];
    for _ in 0..5 {
        page = browser.submit(&app, &page, &wrong).await;
        assert_eq!(page.status, 401);
    }
    page = browser.submit(&app, &page, &wrong).await;
    assert_eq!(page.status, 429, "{}", page.text);
}

/// Token endpoints take forms only: a page of another origin needs to ask before it sends others.
#[tokio::test]
async fn tokens_are_given_for_forms_only() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let code = scene.code(&app).await;
    let good = scene.redemption(&code);
    let json = serde_json::to_value(&good).unwrap();
    let answered = app
        .post(&crate::app::Client::default(), "/oauth/token", json)
        .await;
    answered.problem(415, "unsupported_media_type");
    let in_the_address = format!("/oauth/token?{}", encode(&good));
    let answered = post(&app, &in_the_address, &super::browser::Parameters::new()).await;
    assert_eq!(answered.ok(400)["error"], "invalid_request");
}
