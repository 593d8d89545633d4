//! Clients whose id is the address of their metadata document (CIMD).

use std::sync::atomic::Ordering;

use serde_json::json;

use super::browser::{Browser, Scene, answer, encode, post};
use crate::app::App;

const ID: &str = "https://app.example/client.json";

#[tokio::test]
async fn a_client_needs_no_registration_where_it_publishes_who_it_is() {
    let (app, admin) = App::with_admin().await;
    let mut scene = Scene::new(&app, &admin).await;
    scene.client_id = ID.to_owned();
    scene.request.insert("client_id", ID.to_owned());
    let mut browser = Browser::default();
    let query = encode(&scene.request);
    let page = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    assert_eq!(page.status, 400, "it can't be read yet");

    let document = json!({"client_id": ID, "client_name": "An app",
        "redirect_uris": ["http://127.0.0.1/callback"]});
    app.world
        .published
        .lock()
        .unwrap()
        .insert(ID.to_owned(), document.clone());
    let page = browser
        .consent_page(&app, &query, "admin@example.com")
        .await;
    assert!(
        page.text.contains("An app") && page.text.contains("app.example"),
        "{}",
        page.text
    );
    let answered = browser.submit(&app, &page, &[("decision", "allow")]).await;
    let code = answer(&answered)["code"].clone();
    post(&app, "/oauth/token", &scene.redemption(&code))
        .await
        .ok(200);
    assert_eq!(
        app.world.reads.load(Ordering::SeqCst),
        2,
        "it is kept for a while"
    );

    // What it says now counts after a while.
    let mut moved = document;
    moved["redirect_uris"] = json!(["https://elsewhere.example/cb"]);
    app.world
        .published
        .lock()
        .unwrap()
        .insert(ID.to_owned(), moved);
    app.advance(601);
    let page = browser
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    assert_eq!(page.status, 400, "{}", page.text);
}

#[tokio::test]
async fn a_document_of_another_client_speaks_for_nobody() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    let stolen = json!({"client_id": "https://claude.ai/client.json", "client_name": "Claude",
        "redirect_uris": ["http://127.0.0.1/callback"]});
    app.world
        .published
        .lock()
        .unwrap()
        .insert(ID.to_owned(), stolen);
    let query = encode(&scene.with("client_id", ID));
    let page = Browser::default()
        .get(&app, &format!("/oauth/authorize?{query}"))
        .await;
    assert_eq!(page.status, 400);
    assert!(!page.text.contains("Claude"));
}

#[tokio::test]
async fn nothing_is_fetched_for_ids_that_are_no_https_addresses() {
    let (app, admin) = App::with_admin().await;
    let scene = Scene::new(&app, &admin).await;
    for id in [
        "http://app.example/client.json",
        "https://app.example/",
        "https://u:p@app.example/x",
        "https://app.example/a/../b",
        "file:///etc/passwd",
    ] {
        let query = encode(&scene.with("client_id", id));
        let page = Browser::default()
            .get(&app, &format!("/oauth/authorize?{query}"))
            .await;
        assert_eq!(page.status, 404, "{id}");
    }
    assert_eq!(app.world.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn we_say_who_we_are_where_we_are_the_client() {
    let app = App::with(|config| {
        config.public_url = Some("https://tools.example".parse().unwrap());
    })
    .await;
    let nobody = crate::app::Client::default();
    let answered = app.get(&nobody, "/oauth/client.json").await;
    assert_eq!(answered.headers["access-control-allow-origin"], "*");
    let document = answered.ok(200);
    let id = "https://tools.example/oauth/client.json";
    assert_eq!(document["client_id"], id);
    assert_eq!(document["token_endpoint_auth_method"], "none");
    // By the rules by which we take such documents ourselves.
    let client =
        agentopia_control_plane::oauth::document::read(id, document.to_string().as_bytes());
    let client = client.unwrap();
    assert!(client.may_be_answered_at("https://tools.example/oauth/callback"));
}
