//! The way from a refused call to a token.

use axum::body::Body;
use http::header;
use serde_json::json;

use super::browser::{
    BASE, Browser, CALLBACK, Scene, answer, encode, location, open, post, register,
};
use crate::app::{App, Client};

#[tokio::test]
async fn a_client_finds_the_way_by_the_documents() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let nobody = Client::default();
    for (path, there) in [
        (format!("agents/{}/mcp", scene.agent), true),
        (format!("agents/{}/sse", scene.agent), true),
        // Unknown ones look the same: the document tells nobody which agents there are.
        (format!("agents/{}/mcp", uuid::Uuid::nil()), true),
        (format!("instances/{}/mcp", uuid::Uuid::nil()), true),
        ("agents/x/mcp".to_owned(), false),
        (format!("users/{}/mcp", uuid::Uuid::nil()), false),
    ] {
        let document = app
            .get(
                &nobody,
                &format!("/.well-known/oauth-protected-resource/{path}"),
            )
            .await;
        if !there {
            document.problem(404, "not_found");
            continue;
        }
        assert_eq!(document.headers["access-control-allow-origin"], "*");
        let document = document.ok(200);
        assert_eq!(document["resource"], format!("{BASE}/{path}"));
        assert_eq!(document["authorization_servers"], json!([BASE]));
    }
    let server = app
        .get(&nobody, "/.well-known/oauth-authorization-server")
        .await
        .ok(200);
    assert_eq!(server["issuer"], BASE);
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(
        server["token_endpoint_auth_methods_supported"],
        json!(["none"])
    );
    assert_eq!(server["client_id_metadata_document_supported"], true);
    assert_eq!(
        server["authorization_response_iss_parameter_supported"],
        true
    );
    for endpoint in ["authorization", "token", "registration", "revocation"] {
        let url = server[format!("{endpoint}_endpoint")].as_str().unwrap();
        assert!(url.starts_with(&format!("{BASE}/oauth/")), "{url}");
    }
}

#[tokio::test]
async fn a_person_signs_in_agrees_and_the_program_gets_tokens() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut tool = crate::app::definition("echo");
    tool["secrets"] = json!([]);
    app.post(&admin, "/api/v1/catalog", tool).await.ok(201);
    let body = json!({"catalog": "echo", "name": "my <echo>"});
    let instance = app.post(&admin, "/api/v1/instances", body).await.ok(202);
    let link = format!(
        "/api/v1/agents/{}/links/{}",
        scene.agent,
        instance["id"].as_str().unwrap()
    );
    app.send(&admin, "PUT", &link, None).await.ok(200);
    app.world.take_woken();

    let mut browser = Browser::default();
    let query = encode(&scene.request);
    let login = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    assert_eq!(login.status, 200);
    assert!(
        !login.text.contains("helper"),
        "nothing is shown to strangers"
    );
    let wrong = [("email", "admin@example.com"), ("password", "wrong")];
    let again = browser.submit(&app, &login, &wrong).await;
    assert_eq!(again.status, 401);
    assert!(
        again.text.contains("do not belong together"),
        "{}",
        again.text
    );

    let consent = browser
        .consent_page(&app, &query, "admin@example.com")
        .await;
    for shown in [
        "Test program",
        "helper",
        "my &lt;echo&gt;",
        "admin@example.com",
        "your computer",
    ] {
        assert!(consent.text.contains(shown), "{shown}: {}", consent.text);
    }
    assert!(!consent.text.contains("<script"));
    let answered = browser
        .submit(&app, &consent, &[("decision", "allow")])
        .await;
    assert!(location(&answered).starts_with(&format!("{CALLBACK}?code=oac_")));
    let came_back = answer(&answered);
    assert_eq!(came_back["state"], "xyz & é");
    assert_eq!(came_back["iss"], BASE);

    let answered = post(&app, "/oauth/token", &scene.redemption(&came_back["code"])).await;
    assert_eq!(answered.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answered.headers["access-control-allow-origin"], "*");
    let tokens = answered.ok(200);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert!(tokens["access_token"].as_str().unwrap().starts_with("oat_"));
    assert_eq!(open(&app).await, 1);
    assert_eq!(app.world.take_woken(), ["routes"]);

    // It opens nothing of the API.
    let bearer = Client::bearer(tokens["access_token"].as_str().unwrap());
    app.get(&bearer, "/api/v1/agents")
        .await
        .problem(401, "not_signed_in");

    // The same person is asked again the next time, without signing in.
    let page = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    assert!(page.text.contains("Allow access?"), "{}", page.text);
}

#[tokio::test]
async fn who_does_not_agree_is_believed() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let mut browser = Browser::default();
    let query = encode(&scene.request);
    let consent = browser
        .consent_page(&app, &query, "admin@example.com")
        .await;
    let answered = browser
        .submit(&app, &consent, &[("decision", "deny")])
        .await;
    let came_back = answer(&answered);
    assert_eq!(came_back["error"], "access_denied");
    assert_eq!(came_back["iss"], BASE);
    assert_eq!(came_back["state"], "xyz & é");
    assert!(!came_back.contains_key("code"));
    let grants = app.get(&admin, "/api/v1/grants").await.ok(200);
    assert_eq!(grants["items"], json!([]));
}

#[tokio::test]
async fn somebody_else_can_sign_in_in_the_middle() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    app.user(&admin, "bo").await;
    let mut browser = Browser::default();
    let query = encode(&scene.request);
    let page = browser.consent_page(&app, &query, "bo@example.com").await;
    assert_eq!(page.status, 404);
    assert!(page.text.contains("bo@example.com") && !page.text.contains("helper"));
    let again = format!("{query}&prompt=login");
    let page = browser
        .consent_page(&app, &again, "admin@example.com")
        .await;
    assert!(page.text.contains("helper"), "{}", page.text);
}

#[tokio::test]
async fn registrations_are_checked_bounded_in_speed_and_go_when_unused() {
    let (app, admin) = App::with_admin().await;
    let nobody = Client::default();
    for (body, error) in [
        (json!({}), "invalid_client_metadata"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": ["http://evil.example/"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["javascript:alert(1)"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": [CALLBACK], "grant_types": ["client_credentials"]}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [CALLBACK], "response_types": ["token"]}),
            "invalid_client_metadata",
        ),
    ] {
        let refused = app.post(&nobody, "/oauth/register", body.clone()).await;
        assert_eq!(refused.ok(400)["error"], error, "{body}");
    }
    let scene = Scene::new(&app, &admin).await;
    let used = scene.tokens(&app).await;
    assert!(used["access_token"].is_string());
    let unused = register(&app, &[CALLBACK]).await;
    app.advance(25 * 3600);
    let mut browser = Browser::default();
    let mut request = scene.request.clone();
    let page = browser
        .get(&app, &format!("/oauth/authorize?{}", encode(&request)))
        .await;
    assert_eq!(page.status, 200);
    request.insert("client_id", unused);
    let page = browser
        .get(&app, &format!("/oauth/authorize?{}", encode(&request)))
        .await;
    assert_eq!(page.status, 404, "{}", page.text);
    app.state
        .store
        .oauth_clients()
        .prune(app.state.ambient.now())
        .await
        .unwrap();

    for _ in 0..100 {
        let body = json!({"redirect_uris": [CALLBACK]});
        let answered = app.post(&nobody, "/oauth/register", body).await;
        if answered.status == 429 {
            assert!(answered.headers.contains_key("retry-after"));
            return;
        }
    }
    panic!("anybody may register without end");
}

#[tokio::test]
async fn pages_of_any_origin_may_read_the_documents_but_no_page() {
    let app = App::start().await;
    for path in [
        "/.well-known/oauth-authorization-server",
        "/oauth/register",
        "/oauth/token",
        "/oauth/revoke",
    ] {
        let request = Client::default()
            .request("OPTIONS", path)
            .header(header::ORIGIN, "https://inspector.example")
            .header("access-control-request-method", "POST");
        let answered = app.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answered.status, 204, "{path}");
        assert_eq!(answered.headers["access-control-allow-origin"], "*");
        assert!(
            !answered
                .headers
                .contains_key("access-control-allow-credentials")
        );
    }
    let page = app.get(&Client::default(), "/oauth/authorize").await;
    assert_eq!(page.status, 400);
    assert!(!page.headers.contains_key("access-control-allow-origin"));
}
