//! Logins where the server that runs elsewhere is another control plane, with its own authorization
//! server: registration, consent, tokens for one endpoint, renewal, and what ends a login.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::elsewhere::Elsewhere;
use crate::installation::Installation;

/// A control plane with an agent that echoes, and the address of the agent's endpoint.
async fn upstream() -> (Installation, Elsewhere, String) {
    let server = Elsewhere::start("first-value").await;
    let at = Installation::start().await;
    at.put("/secrets/far-token", json!({"value": "first-value"}))
        .await;
    let body = json!({"catalog": "remote", "url": server.url, "secrets": {"TOKEN": "far-token"}});
    let made = at.post("/instances", body).await;
    let id = made["id"].as_str().unwrap();
    at.status_becomes(id, "running").await;
    let agent = at.agent_for(id).await;
    (at, server, agent.endpoint)
}

async fn deployed(at: &Installation, url: &str) -> String {
    let body = json!({"catalog": "remote", "name": "far", "url": url});
    let made = at.post("/instances", body).await;
    made["id"].as_str().unwrap().to_owned()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no {pointer}: {value}"))
}

#[tokio::test]
async fn the_owner_logs_in_with_the_browser_and_agents_call() {
    let (far, server, endpoint) = upstream().await;
    let at = Installation::start().await;
    let id = deployed(&at, &endpoint).await;
    let path = format!("/instances/{id}");

    // Before: everybody is told what to do.
    at.status_becomes(&id, "error_runtime").await;
    let shown = at.get(&path).await;
    assert!(text(&shown, "/error_message").contains("agentopia tools login far"));
    assert_eq!(shown["login"]["state"], "needed");
    let agent = at.agent_for(&id).await;
    let discovered = at.get(&format!("/agents/{}/discovery", agent.id)).await;
    let said = discovered.to_string();
    assert!(said.contains("its error message says why"), "{said}");

    let begun = at.post(&format!("{path}/login"), json!({})).await;
    assert_eq!(begun["issuer"], far.base());
    let url = text(&begun, "/url");
    assert!(url.starts_with(&format!("{}/oauth/upstream?", at.base())));
    let mut browser = Browser::new();
    let end = browser.log_in(url, "a@example.com").await;
    assert_eq!(end.status, 200, "{end:?}");
    assert!(end.text.contains("is logged in"), "{end:?}");
    assert_eq!(end.url.origin().ascii_serialization(), at.base());

    at.status_becomes(&id, "running").await;
    let shown = at.get(&path).await;
    assert_eq!(shown["login"]["state"], "logged_in", "{shown}");
    assert_eq!(shown["login"]["issuer"], far.base());
    assert_eq!(shown["login"]["scope"], "mcp");
    assert_eq!(agent.call("echo").await.unwrap(), "far {\"text\":\"hi\"}");
    let called = json!({"tool": "echo", "arguments": {"text": "x"}});
    let answer = at.post(&format!("{path}/call"), called).await;
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "far {\"text\":\"x\"}"
    );
    assert!(
        server
            .shown()
            .iter()
            .all(|it| it.authorization == "Bearer first-value")
    );

    // The address was good once, in that browser.
    let visited = browser.visited.iter();
    let back = visited.rev().find(|url| url.path() == "/oauth/callback");
    let back = back.unwrap().to_string();
    let again = browser.open(&back).await;
    assert_eq!(again.status, 404, "{again:?}");

    // No token is shown anywhere.
    let events = at.get("/events").await.to_string();
    assert!(events.contains("instance.logged_in"), "{events}");
    for secret in ["oat_", "ort_", "oac_"] {
        assert!(!events.contains(secret) && !shown.to_string().contains(secret));
    }

    // Who is shut out there is told to log in again here.
    let grants = far.get("/grants").await;
    let grant = text(&grants, "/items/0/id");
    assert_eq!(grants["items"][0]["client_name"], "Agentopia");
    far.delete(&format!("/grants/{grant}")).await;
    let error = agent.call_until_refused("echo").await;
    assert!(error.contains("agentopia tools login far"), "{error}");
    at.status_becomes(&id, "error_runtime").await;
    let shown = at.get(&path).await;
    assert_eq!(shown["login"]["state"], "needed", "{shown}");
    let events = at.get("/events").await.to_string();
    assert!(events.contains("instance.login_needed"), "{events}");

    // And can; then logs out, which ends the login there too.
    let begun = at.post(&format!("{path}/login"), json!({})).await;
    let end = Browser::new()
        .log_in(text(&begun, "/url"), "a@example.com")
        .await;
    assert_eq!(end.status, 200, "{end:?}");
    at.status_becomes(&id, "running").await;
    assert_eq!(agent.call("echo").await.unwrap(), "far {\"text\":\"hi\"}");
    at.delete(&format!("{path}/login")).await;
    let error = agent.call("echo").await.unwrap_err();
    assert!(error.contains("log in"), "{error}");
    far.until(async || {
        let grants = far.get("/grants").await;
        grants["items"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    at.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn nobody_else_can_finish_a_login() {
    let (far, _server, endpoint) = upstream().await;
    let at = Installation::start().await;
    let id = deployed(&at, &endpoint).await;
    let user =
        json!({"email": "b@example.com", "password": "correct horse battery", "role": "user"});
    at.post("/users", user).await;
    let begin = async || {
        let begun = at.post(&format!("/instances/{id}/login"), json!({})).await;
        text(&begun, "/url").to_owned()
    };

    // Somebody else who was sent the address: they are asked who they are, and refused.
    let url = begin().await;
    let mut other = Browser::new();
    let form = other.open(&url).await;
    let refused = other.sign_in(&form, "b@example.com").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        refused.text.contains("begun by somebody else"),
        "{refused:?}"
    );

    // The owner goes on; what their browser brings back is worth nothing in another one.
    let mut owner = Browser::new();
    let form = owner.open(&url).await;
    let theirs = owner.sign_in(&form, "a@example.com").await;
    let asked: std::collections::HashMap<_, _> = theirs.url.query_pairs().collect();
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["resource"], endpoint);
    let state = asked["state"].to_string();
    let forged = format!(
        "{}/oauth/callback?code=x&state={state}&iss={}",
        at.base(),
        far.base()
    );
    let answer = other.open(&forged).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    // Nor with a state that nobody made, nor with two.
    for wrong in [
        format!("{}/oauth/callback?code=x&state=made-up", at.base()),
        format!("{forged}&state={state}"),
        format!("{}/oauth/callback?code=x", at.base()),
    ] {
        let answer = owner.open(&wrong).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    // A code of another issuer is sent nowhere, and ends the login.
    let foreign = format!(
        "{}/oauth/callback?code=x&state={state}&iss=http://evil.example",
        at.base()
    );
    let answer = owner.open(&foreign).await;
    assert!(
        answer.text.contains("another authorization server"),
        "{answer:?}"
    );
    let answer = owner.open(&forged).await;
    assert_eq!(answer.status, 404, "{answer:?}");

    // Without its issuer an answer of one that always says it is not believed.
    let url = begin().await;
    let theirs = owner.open(&url).await;
    let asked: std::collections::HashMap<_, _> = theirs.url.query_pairs().collect();
    let silent = format!(
        "{}/oauth/callback?code=x&state={}",
        at.base(),
        asked["state"]
    );
    let answer = owner.open(&silent).await;
    assert!(answer.text.contains("does not say"), "{answer:?}");

    // A login that was begun later ends the one before.
    let first = begin().await;
    begin().await;
    let answer = owner.open(&first).await;
    assert_eq!(answer.status, 404, "{answer:?}");

    // Not the owner's consent there: it is told, and nothing is kept.
    let url = begin().await;
    let consent = owner.open(&url).await;
    let consent = owner.sign_in(&consent, "a@example.com").await;
    let end = owner.submit(&consent, &[("decision", "deny")]).await;
    assert!(end.text.contains("it was not allowed"), "{end:?}");
    let shown = at.get(&format!("/instances/{id}")).await;
    assert_ne!(shown["login"]["state"], "logged_in", "{shown}");
    at.stop().await;
    far.stop().await;
}
