//! Servers and authorization servers that are not what they say: no login begins there, and nothing is
//! sent to where they point.

use serde_json::{Value, json};

use crate::installation::Installation;
use crate::strict::Strict;

#[tokio::test]
async fn no_login_begins_where_the_documents_can_not_be_believed() {
    let strict = Strict::start(60).await;
    let at = Installation::start().await;
    let body = json!({"catalog": "remote", "name": "far", "url": strict.url});
    let id = at.post("/instances", body).await["id"].clone();
    let path = format!("/instances/{}/login", id.as_str().unwrap());
    let base = strict.url.trim_end_matches("/mcp").to_owned();
    let issuer = |change: Value| (Value::Null, change);
    let resource = |change: Value| (change, Value::Null);
    for ((about, metadata), says) in [
        (
            resource(json!({"resource": "https://api.example/"})),
            "another server",
        ),
        (
            resource(json!({"resource": format!("{base}/mcp/other")})),
            "another server",
        ),
        (
            resource(json!({"authorization_servers": []})),
            "names no authorization server",
        ),
        (
            resource(json!({"authorization_servers": ["http://169.254.169.254/"]})),
            "link-local",
        ),
        (
            resource(json!({"authorization_servers": ["https://10.0.0.1/as"]})),
            "private",
        ),
        (
            resource(json!({"authorization_servers": ["file:///etc/passwd"]})),
            "https://",
        ),
        (issuer(json!({"issuer": base})), "another issuer"),
        (
            issuer(json!({"issuer": "https://evil.example"})),
            "another issuer",
        ),
        (
            issuer(json!({"code_challenge_methods_supported": ["plain"]})),
            "S256",
        ),
        (
            issuer(json!({"code_challenge_methods_supported": []})),
            "S256",
        ),
        (
            issuer(json!({"authorization_endpoint": "javascript:alert(1)"})),
            "http(s)",
        ),
        (
            issuer(json!({"authorization_endpoint": "http://1.1.1.1/authorize"})),
            "https://",
        ),
        (
            issuer(json!({"token_endpoint": "https://10.0.0.1/token"})),
            "private",
        ),
        (
            issuer(json!({"token_endpoint": "http://1.1.1.1/token"})),
            "https://",
        ),
        (
            issuer(json!({"registration_endpoint": "https://192.168.1.1/"})),
            "private",
        ),
        (
            issuer(json!({"registration_endpoint": null})),
            "--client-id",
        ),
    ] {
        {
            let mut ways = strict.ways.lock();
            ways.resource = about.clone();
            ways.issuer = metadata.clone();
        }
        let (status, problem) = at.try_post(&path, json!({})).await;
        assert_eq!(status, 422, "{about} {metadata}: {problem}");
        assert_eq!(problem["code"], "login_not_possible", "{problem}");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(says), "{about} {metadata}: {said}");
    }
    // The challenge itself may point inwards.
    {
        let mut ways = strict.ways.lock();
        ways.resource = Value::Null;
        ways.issuer = Value::Null;
        ways.challenge = Some("http://169.254.169.254/latest/meta-data".to_owned());
    }
    let (status, problem) = at.try_post(&path, json!({})).await;
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("link-local"),
        "{problem}"
    );

    // Without a word in the challenge the document is looked for where the standard has it.
    strict.ways.lock().challenge = None;
    let (status, begun) = at.try_post(&path, json!({})).await;
    assert_eq!(
        (status, &begun["issuer"]),
        (200, &json!(strict.issuer())),
        "{begun}"
    );

    // A client that was given is used as it is, and its secret has to be one of the owner's.
    let unknown = json!({"client_id": "mine", "client_secret": "nothing"});
    let (status, problem) = at.try_post(&path, unknown).await;
    assert_eq!((status, &problem["code"]), (422, &json!("unknown_secret")));
    let alone = json!({"client_secret": "nothing"});
    let (status, _) = at.try_post(&path, alone).await;
    assert_eq!(status, 422);
    at.stop().await;
}

#[tokio::test]
async fn a_tool_that_runs_here_and_one_of_somebody_else_are_not_logged_in_at() {
    let at = Installation::start().await;
    let nobodys = "/instances/0190a0f0-0000-7000-8000-00000000abcd/login";
    let (status, problem) = at.try_post(nobodys, json!({})).await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    at.stop().await;
}

#[tokio::test]
async fn a_login_is_wanted_where_only_the_documents_say_so_and_not_where_none_do() {
    let strict = Strict::start(60).await;
    strict.ways.lock().challenge = None;
    let plain = crate::elsewhere::Elsewhere::start("a-value").await;
    let at = Installation::start().await;
    for (name, url, wanted) in [("far", &strict.url, true), ("plain", &plain.url, false)] {
        let body = json!({"catalog": "remote", "name": name, "url": url});
        let made = at.post("/instances", body).await;
        let id = made["id"].as_str().unwrap();
        at.status_becomes(id, "error_runtime").await;
        let shown = at.get(&format!("/instances/{id}")).await;
        assert_eq!(shown["login"]["state"] == "needed", wanted, "{shown}");
        let said = shown["error_message"].as_str().unwrap();
        assert_eq!(said.contains("agentopia tools login far"), wanted, "{said}");
    }
}
