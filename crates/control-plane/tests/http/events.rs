//! The timeline, page by page and as it happens.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::app::{App, Client};

#[tokio::test]
async fn the_timeline_is_read_backwards() {
    let (app, admin) = App::with_admin().await;
    for name in ["a", "b", "c"] {
        app.post(&admin, "/api/v1/agents", json!({"name": name}))
            .await
            .ok(201);
    }
    let mut messages = Vec::new();
    let mut path = "/api/v1/events?object_kind=agent&limit=2".to_owned();
    loop {
        let page = app.get(&admin, &path).await.ok(200);
        for event in page["items"].as_array().unwrap() {
            messages.push(event["message"].as_str().unwrap().to_owned());
            assert!(event["request_id"].is_string());
            assert_eq!(event["actor"]["type"], "user");
        }
        match &page["next_cursor"] {
            Value::String(cursor) => {
                path = format!("/api/v1/events?object_kind=agent&limit=2&cursor={cursor}");
            }
            _ => break,
        }
    }
    assert_eq!(
        messages,
        ["made the agent c", "made the agent b", "made the agent a"]
    );
    app.get(&admin, "/api/v1/events?cursor=nonsense")
        .await
        .problem(400, "invalid_cursor");
    app.get(&admin, "/api/v1/events?limit=0")
        .await
        .problem(400, "invalid_query");
}

/// Reads server-sent events until `count` came; gives their ids and kinds.
async fn listen(
    address: std::net::SocketAddr,
    client: &Client,
    after: Option<&str>,
    count: usize,
    then: impl Future<Output = ()>,
) -> Vec<(String, String)> {
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls())
        .build()
        .unwrap()
        .get(format!("http://{address}/api/v1/events/stream"))
        .header("cookie", client.cookie.as_deref().unwrap());
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.bytes_stream();
    let mut text = String::new();
    let mut then = Some(then);
    tokio::time::timeout(Duration::from_secs(20), async {
        while text.matches("\nid: ").count() + usize::from(text.starts_with("id: ")) < count
            || !text.ends_with("\n\n")
        {
            text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
            // The stream is open once its first words came.
            if let Some(then) = then.take() {
                then.await;
            }
        }
    })
    .await
    .expect("the events come");
    text.split("\n\n")
        .filter_map(|message| {
            let line = |name: &str| {
                message
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
            };
            Some((line("id: ")?, line("event: ")?))
        })
        .collect()
}

fn tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[tokio::test]
async fn a_live_stream_tells_at_once_and_continues_after_a_cut() {
    let (app, admin) = App::with_admin().await;
    let address = app.listen().await;
    let make = |name: &'static str| {
        let (app, admin) = (&app, &admin);
        async move {
            app.post(admin, "/api/v1/agents", json!({"name": name}))
                .await
                .ok(201);
        }
    };
    let first = listen(address, &admin, None, 1, make("a")).await;
    assert_eq!(first[0].1, "agent.created");
    // While nobody listens, more happens.
    make("b").await;
    make("c").await;
    let rest = listen(address, &admin, Some(&first[0].0), 2, async {}).await;
    let kinds: Vec<&str> = rest.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["agent.created", "agent.created"]);
    let ids: Vec<i64> = rest.iter().map(|(id, _)| id.parse().unwrap()).collect();
    assert!(ids[0] > first[0].0.parse().unwrap() && ids[1] > ids[0]);

    // Another account hears nothing of it: only its own sign-in and what it does itself.
    let bo = app.user(&admin, "bo").await;
    let own = listen(address, &bo, Some("0"), 1, async {}).await;
    assert!(own.iter().all(|(_, kind)| kind != "agent.created"));
}

#[tokio::test]
async fn a_stream_ends_with_the_server_and_wants_a_proper_position() {
    let (app, admin) = App::with_admin().await;
    let request = admin
        .request("GET", "/api/v1/events/stream")
        .header("last-event-id", "x");
    app.raw(request.body(axum::body::Body::empty()).unwrap())
        .await
        .problem(400, "invalid_header");
    app.state.shutdown.cancel();
    // Read to its end: it has one.
    let answered = app.get(&admin, "/api/v1/events/stream").await;
    assert_eq!(answered.status, 200);
}
