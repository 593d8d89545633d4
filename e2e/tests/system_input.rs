//! Bad input: each gets a clear problem document with a stable code, and nothing changes.

use std::time::Duration;

use agentopia_api::Page;
use agentopia_test_support::api::{Api, problem};
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::{Cluster, wait_for};
use serde_json::{Value, json};

/// Method, path and body (null for none), and the codes of which one is right.
type Case<'a> = ((&'a str, String, Value), &'a [&'a str]);

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_by_code_and_change_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let api = &cluster.admin;
    EchoEntry::new("needy", &[])
        .with("/secrets", json!([{"name": "API_KEY", "required": true}]))
        .add(api)
        .await?;
    EchoEntry::new("old", &[])
        .with("/status", json!("archived"))
        .add(api)
        .await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("taken", &[]).await?;
    let before = state(api).await?;
    let unknown = "0191f0a0-0000-7000-8000-000000000000";
    let instance = format!("/api/v1/instances/{}", echo.id);
    let agents = format!("/api/v1/agents/{}", agent.id());
    let deploy = |body: Value| ("POST", "/api/v1/instances".to_owned(), body);
    let long = "x".repeat(65);

    let table: Vec<Case> = vec![
        // Unknown ids and addresses.
        (
            ("GET", format!("/api/v1/instances/{unknown}"), Value::Null),
            &["not_found"],
        ),
        (
            ("GET", "/api/v1/instances/not-an-id".into(), Value::Null),
            &["not_found", "invalid_input"],
        ),
        (
            ("DELETE", format!("/api/v1/agents/{unknown}"), Value::Null),
            &["not_found"],
        ),
        (
            ("GET", "/api/v1/nonsense".into(), Value::Null),
            &["unknown_route"],
        ),
        (
            ("DELETE", "/api/v1/session/everything".into(), Value::Null),
            &["unknown_route"],
        ),
        (
            ("PUT", "/api/v1/agents".into(), json!({})),
            &["method_not_allowed"],
        ),
        (
            ("PUT", format!("{agents}/links/{unknown}"), json!({})),
            &["not_found"],
        ),
        (
            ("DELETE", "/api/v1/secrets/none".into(), Value::Null),
            &["not_found"],
        ),
        // Deploys.
        (
            deploy(json!({"catalog": "no-such-tool"})),
            &["unknown_catalog_entry"],
        ),
        (deploy(json!({"catalog": "old"})), &["archived"]),
        (
            deploy(json!({"catalog": "echo", "version": "99"})),
            &["unknown_version"],
        ),
        (
            deploy(json!({"catalog": "echo", "config": {"greeting": 5}})),
            &["invalid_config"],
        ),
        (
            deploy(json!({"catalog": "echo", "config": {"colour": "red"}})),
            &["invalid_config"],
        ),
        (
            deploy(json!({"catalog": "echo", "config": []})),
            &["invalid_input"],
        ),
        (deploy(json!({"catalog": "needy"})), &["missing_secret"]),
        (
            deploy(json!({"catalog": "needy", "secrets": {"API_KEY": "none"}})),
            &["unknown_secret"],
        ),
        (
            deploy(json!({"catalog": "echo", "secrets": {"PATH": "none"}})),
            &["unknown_secret"],
        ),
        (
            deploy(json!({"catalog": "echo", "name": echo.name})),
            &["duplicate"],
        ),
        (
            deploy(json!({"catalog": "echo", "name": ""})),
            &["invalid_input"],
        ),
        (
            deploy(json!({"catalog": "echo", "name": " a"})),
            &["invalid_input"],
        ),
        (
            deploy(json!({"catalog": "echo", "name": "a\u{202e}b"})),
            &["invalid_input"],
        ),
        (
            deploy(json!({"catalog": "echo", "name": "a\nb"})),
            &["invalid_input"],
        ),
        (
            deploy(json!({"catalog": "echo", "name": long})),
            &["invalid_input"],
        ),
        (
            deploy(json!({"catalog": "echo", "colour": "red"})),
            &["invalid_input"],
        ),
        (deploy(json!({"catalog": 7})), &["invalid_input"]),
        (deploy(json!([])), &["invalid_input"]),
        (deploy(json!({})), &["invalid_input"]),
        // Changes.
        (
            (
                "PATCH",
                instance.clone(),
                json!({"config": {"greeting": 1}}),
            ),
            &["invalid_config"],
        ),
        (
            ("PATCH", instance.clone(), json!({"desired": "stopped"})),
            &["invalid_input"],
        ),
        (
            ("POST", format!("{instance}/call"), json!({})),
            &["invalid_input"],
        ),
        (
            ("POST", format!("{instance}/call"), json!({"tool": "none"})),
            &["upstream_error", "invalid_input", "not_found"],
        ),
        (
            ("GET", format!("{instance}/logs?tail=99999"), Value::Null),
            &["invalid_query"],
        ),
        (
            ("GET", format!("{instance}/logs?tale=1"), Value::Null),
            &["invalid_query"],
        ),
        (
            ("GET", "/api/v1/instances?limit=0".into(), Value::Null),
            &["invalid_query"],
        ),
        (
            (
                "GET",
                "/api/v1/instances?cursor=nonsense".into(),
                Value::Null,
            ),
            &["invalid_cursor"],
        ),
        // Agents, tokens, secrets, catalog, users.
        (
            ("POST", "/api/v1/agents".into(), json!({"name": "taken"})),
            &["duplicate"],
        ),
        (
            (
                "POST",
                "/api/v1/agents".into(),
                json!({"name": "a\u{200b}"}),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/tokens".into(),
                json!({"name": "t", "scopes": []}),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/tokens".into(),
                json!({"name": "t", "scopes": ["root"]}),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                format!("{agents}/tokens"),
                json!({"name": "t", "expires_in_seconds": -1}),
            ),
            &["invalid_input"],
        ),
        (
            ("PUT", "/api/v1/secrets/a".into(), json!({"value": ""})),
            &["invalid_input"],
        ),
        (
            (
                "PUT",
                "/api/v1/secrets/a".into(),
                json!({"value": "x".repeat(65_537)}),
            ),
            &["invalid_input"],
        ),
        (
            ("PUT", "/api/v1/secrets/%20".into(), json!({"value": "x"})),
            &["invalid_input", "not_found"],
        ),
        (
            (
                "POST",
                "/api/v1/catalog".into(),
                EchoEntry::new("echo", &[]).json(),
            ),
            &["duplicate"],
        ),
        (
            (
                "POST",
                "/api/v1/catalog".into(),
                EchoEntry::new("Not A Slug", &[]).json(),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/catalog".into(),
                EchoEntry::new("x", &[]).with("/versions", json!([])).json(),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/catalog".into(),
                EchoEntry::new("x", &[])
                    .with("/packaging/image", json!("a b; rm"))
                    .json(),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/users".into(),
                json!({"email": "admin@example.com", "password": "x".repeat(20), "role": "user"}),
            ),
            &["duplicate"],
        ),
        (
            (
                "POST",
                "/api/v1/users".into(),
                json!({"email": "b@example.com", "password": "short", "role": "user"}),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/users".into(),
                json!({"email": "b@example.com", "password": "x".repeat(20), "role": "god"}),
            ),
            &["invalid_input"],
        ),
        (
            (
                "POST",
                "/api/v1/setup".into(),
                json!({"token": "again", "email": "c@example.com", "password": "x".repeat(20)}),
            ),
            &["already_set_up", "wrong_setup_token"],
        ),
        (
            (
                "POST",
                "/api/v1/session".into(),
                json!({"email": "admin@example.com", "password": "a wrong guess"}),
            ),
            &["wrong_credentials"],
        ),
        (
            (
                "POST",
                format!("/internal/agents/{}/ensure-tool-environment", agent.id()),
                json!({}),
            ),
            &["wrong_internal_secret", "not_found", "unknown_route"],
        ),
    ];
    let mut wrong = Vec::new();
    for ((method, path, body), codes) in table {
        let mut request = api.request(method.parse()?, &path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        if status.is_success() {
            wrong.push(format!("{method} {path} {body}: {status}"));
            continue;
        }
        let found = problem(answer).await?;
        if !codes.contains(&found.code.as_str()) || found.detail.is_empty() {
            wrong.push(format!("{method} {path} {body}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(state(api).await?, before, "something was changed");
    cluster.finish().await
}

/// Everything that a bad request could have changed.
async fn state(api: &Api) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for list in [
        "instances",
        "agents",
        "tokens",
        "secrets",
        "catalog",
        "users",
        "registry-logins",
    ] {
        let mut value: Value = api
            .get(&format!("/api/v1/{list}?limit=200"))
            .await
            .or_else(|_| {
                // Some short lists have no pages.
                Ok::<_, anyhow::Error>(Value::Null)
            })?;
        strip(&mut value);
        all.push(value);
    }
    Ok(all)
}

/// Takes out what time alone changes.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("last_used_at");
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_too_large_or_from_elsewhere_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let api = &cluster.admin;
    let post = || api.request(reqwest::Method::POST, "/api/v1/agents");
    let json_type = ("content-type", "application/json");
    let cases = [
        (
            post().header(json_type.0, json_type.1).body("{\"name\":"),
            400,
            "invalid_json",
        ),
        (
            post().header("content-type", "text/plain").body("{}"),
            415,
            "unsupported_media_type",
        ),
        (
            post()
                .header(json_type.0, json_type.1)
                .body("x".repeat(2 << 20)),
            413,
            "body_too_large",
        ),
        (
            post()
                .header("origin", "https://evil.example")
                .json(&json!({"name": "x"})),
            403,
            "foreign_origin",
        ),
        (
            post()
                .header("host", "evil.example")
                .json(&json!({"name": "x"})),
            421,
            "unknown_host",
        ),
        (
            api.with_token("pat_nonsense")
                .request(reqwest::Method::GET, "/api/v1/agents"),
            401,
            "not_signed_in",
        ),
        (
            api.with_token("agt_nonsense")
                .request(reqwest::Method::GET, "/api/v1/agents"),
            401,
            "not_signed_in",
        ),
    ];
    for (request, status, code) in cases {
        let found = problem(request.send().await?).await?;
        assert_eq!(
            (found.status, found.code.as_str()),
            (status, code),
            "{found}"
        );
    }
    let agents: Page<Value> = api.get("/api/v1/agents").await?;
    assert!(agents.items.is_empty(), "{agents:?}");

    // A token that ended, and one that was taken back.
    let created: Value = api
        .post(
            "/api/v1/tokens",
            &json!({"name": "short", "scopes": ["read"], "expires_in_seconds": 1}),
        )
        .await?;
    let short = api.with_token(created["token"].as_str().unwrap_or_default());
    wait_for(Duration::from_secs(10), "the token to end", async || {
        let answer = short
            .request(reqwest::Method::GET, "/api/v1/agents")
            .send()
            .await?;
        anyhow::ensure!(problem(answer).await?.code == "not_signed_in");
        Ok(())
    })
    .await?;
    let created: Value = api
        .post(
            "/api/v1/tokens",
            &json!({"name": "reader", "scopes": ["read"]}),
        )
        .await?;
    let reader = api.with_token(created["token"].as_str().unwrap_or_default());
    let answer = reader
        .request(reqwest::Method::POST, "/api/v1/agents")
        .json(&json!({"name": "x"}));
    assert_eq!(problem(answer.send().await?).await?.code, "missing_scope");
    let id = created["record"]["id"].as_str().unwrap_or_default();
    api.delete(&format!("/api/v1/tokens/{id}")).await?;
    wait_for(
        Duration::from_secs(10),
        "the revoked token to be refused",
        async || {
            let answer = reader
                .request(reqwest::Method::GET, "/api/v1/agents")
                .send()
                .await?;
            anyhow::ensure!(problem(answer).await?.code == "not_signed_in");
            Ok(())
        },
    )
    .await?;
    cluster.finish().await
}
