//! Servers that run elsewhere: deployed by address, with nothing turned on for them.

use serde_json::{Value, json};

use crate::app::{App, Client};

fn entry(url: Option<&str>) -> Value {
    json!({
        "slug": "elsewhere",
        "name": "Elsewhere",
        "packaging": {
            "type": "remote",
            "url": url,
            "headers": {"Authorization": "Bearer ${secret:TOKEN}"},
        },
        "versions": [{"version": "1"}],
        "default_version": "1",
        "secrets": [{"name": "TOKEN", "required": false}],
        "status": "available",
    })
}

/// An admin with the entry in the catalog, where loopback may be called.
async fn ready(url: Option<&str>, allowed: &[&str]) -> (App, Client) {
    let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
    let app = App::with(|config| config.remote_allow = allowed).await;
    let admin = app.set_up().await;
    app.post(&admin, "/api/v1/catalog", entry(url))
        .await
        .ok(201);
    app.world.take_woken();
    (app, admin)
}

async fn deploy(app: &App, client: &Client, url: &str) -> crate::app::Answered {
    let body = json!({"catalog": "elsewhere", "url": url});
    app.post(client, "/api/v1/instances", body).await
}

#[tokio::test]
async fn an_address_that_may_not_be_called_is_refused_and_changes_nothing() {
    let (app, admin) = ready(None, &["127.0.0.9/32"]).await;
    for (url, says) in [
        ("https://169.254.169.254/latest/meta-data", "link-local"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("https://[fd00:ec2::254]/", "private"),
        ("https://127.0.0.1/", "loopback"),
        ("https://localhost/", "loopback"),
        ("https://2130706433/", "loopback"),
        ("https://0x7f.1/", "loopback"),
        ("https://0177.0.0.1/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "loopback"),
        ("https://10.1.2.3/", "private"),
        ("https://0/", "unspecified"),
        ("http://1.1.1.1/mcp", "https://"),
        ("https://user:pass@1.1.1.1/", "no user and no password"),
        ("ftp://1.1.1.1/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("1.1.1.1/mcp", "no address"),
        ("https://1.1.1.1/#x", "after `#`"),
        ("https://nowhere.invalid/", "has no address"),
    ] {
        let problem = deploy(&app, &admin, url)
            .await
            .problem(422, "invalid_input");
        assert_eq!(problem["errors"][0]["field"], "url", "{url}");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(says), "{url}: {said}");
    }
    let missing = json!({"catalog": "elsewhere"});
    let refused = app.post(&admin, "/api/v1/instances", missing).await;
    refused.problem(422, "invalid_input");
    let listed = app.get(&admin, "/api/v1/instances").await.ok(200);
    assert_eq!(listed["items"], json!([]));
    let account = app
        .state
        .store
        .users()
        .list(Default::default())
        .await
        .unwrap()
        .items[0]
        .id;
    let environment = app
        .state
        .store
        .environments()
        .find(account.as_uuid().into())
        .await
        .unwrap();
    assert!(environment.is_none());
    assert!(app.world.take_woken().is_empty());
}

#[tokio::test]
async fn a_remote_server_is_deployed_without_turning_anything_on() {
    let (app, admin) = ready(None, &["127.0.0.9/32"]).await;
    let made = deploy(&app, &admin, "http://127.0.0.9:7/mcp").await.ok(202);
    assert_eq!(made["url"], "http://127.0.0.9:7/mcp");
    assert_eq!(made["status"], "pending_start");
    assert_eq!(made["resources"]["memory_bytes"], 0);
    let environment = app.get(&admin, "/api/v1/environment").await.ok(200);
    assert_eq!(environment["environment"]["status"], "deleted");
    assert_eq!(environment["environment"]["desired"], "disabled");
    let id = made["id"].as_str().unwrap();
    assert_eq!(app.world.take_woken(), [format!("instance {id}")]);
    let logs = format!("/api/v1/instances/{id}/logs");
    let problem = app.get(&admin, &logs).await.problem(409, "wrong_state");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("keeps its own log")
    );
    let stop = format!("/api/v1/instances/{id}/stop");
    let stopped = app.post(&admin, &stop, json!(null)).await.ok(202);
    assert_eq!(stopped["status"], "stopping");
    let path = format!("/api/v1/instances/{id}");
    let removed = app.send(&admin, "DELETE", &path, None).await.ok(202);
    assert_eq!(removed["status"], "pending_removal");
}

#[tokio::test]
async fn an_address_is_given_once_by_the_catalog_or_by_whoever_deploys() {
    let (app, admin) = ready(Some("http://127.0.0.9:7/mcp"), &["127.0.0.9/32"]).await;
    let other = deploy(&app, &admin, "http://127.0.0.9:8/mcp").await;
    other.problem(422, "invalid_input");
    let body = json!({"catalog": "elsewhere"});
    let made = app.post(&admin, "/api/v1/instances", body).await.ok(202);
    assert_eq!(made["url"], "http://127.0.0.9:7/mcp");

    app.catalog_entry(&admin, "clock").await;
    let body = json!({"catalog": "clock", "url": "http://127.0.0.9:7/mcp"});
    let refused = app.post(&admin, "/api/v1/instances", body).await;
    refused.problem(422, "missing_secret");
}

#[tokio::test]
async fn entries_that_could_smuggle_headers_are_refused() {
    let (app, admin) = App::with_admin().await;
    for (name, value) in [
        ("Host", "inner.example"),
        ("Content-Length", "5"),
        ("Mcp-Session-Id", "1"),
        ("X-A", "a\r\nb: c"),
        ("X-A", "${secret:OTHER}"),
    ] {
        let mut bad = entry(None);
        bad["packaging"]["headers"] = json!({name: value});
        let refused = app.post(&admin, "/api/v1/catalog", bad).await;
        refused.problem(422, "invalid_input");
    }
}
