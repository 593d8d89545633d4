//! A server that runs elsewhere, from its deployment to an agent's call: the whole control plane with a
//! real rmcp server on loopback, which the operator allowed, and a real rmcp client.

#![expect(
    clippy::unwrap_used,
    reason = "what is not as expected here is a failure of the test"
)]

mod browser;
mod elsewhere;
mod installation;
mod logins;
mod refusals;
mod renewal;
mod sse;
mod strict;

use std::time::Duration;

use serde_json::json;

use elsewhere::Elsewhere;
use installation::{Agent, Installation};

#[tokio::test]
async fn a_remote_server_is_called_with_its_secret_and_nobody_elses() {
    let server = Elsewhere::start("first-value").await;
    let at = Installation::start().await;
    at.put("/secrets/far-token", json!({"value": "first-value"}))
        .await;
    let body = json!({"catalog": "remote", "url": server.url, "secrets": {"TOKEN": "far-token"}});
    let made = at.post("/instances", body).await;
    let id = made["id"].as_str().unwrap();
    at.status_becomes(id, "running").await;
    assert_eq!(
        at.get("/environment").await["environment"]["status"],
        "deleted"
    );

    // By hand, and as an agent does with a real client.
    let called = json!({"tool": "echo", "arguments": {"text": "hello"}});
    let answer = at.post(&format!("/instances/{id}/call"), called).await;
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "far {\"text\":\"hello\"}"
    );
    let agent = at.agent_for(id).await;
    assert_eq!(agent.call("echo").await.unwrap(), "far {\"text\":\"hi\"}");
    let discovered = at.get(&format!("/agents/{}/discovery", agent.id)).await;
    assert!(discovered.to_string().contains("\"echo\""), "{discovered}");

    let shown = server.shown();
    assert!(
        shown
            .iter()
            .all(|headers| headers.authorization == "Bearer first-value"),
        "{shown:?}"
    );
    assert!(
        shown
            .iter()
            .all(|headers| !headers.others.contains(&agent.token))
    );
    assert!(
        shown
            .iter()
            .all(|headers| !headers.others.contains("agentopia-session-key"))
    );
    assert!(
        shown
            .iter()
            .all(|headers| !headers.others.contains("x-api-key"))
    );

    // A value that the server no longer takes is told, to the agent and to the owner.
    server.take_only("second-value");
    let error = agent.call("echo").await.unwrap_err();
    assert!(error.contains("check the secret TOKEN"), "{error}");
    assert!(!error.contains("first-value"), "{error}");
    at.post(&format!("/instances/{id}/restart"), json!(null))
        .await;
    at.status_becomes(id, "error_runtime").await;
    let shown = at.get(&format!("/instances/{id}")).await;
    let said = shown["error_message"].as_str().unwrap();
    assert!(said.contains("check the secret TOKEN"), "{said}");

    // The next value is used at once, and the timeline has it all.
    at.put("/secrets/far-token", json!({"value": "second-value"}))
        .await;
    at.status_becomes(id, "running").await;
    assert_eq!(agent.call("echo").await.unwrap(), "far {\"text\":\"hi\"}");
    let events = at.get("/events").await.to_string();
    for told in [
        "instance.deployed",
        "the server answers",
        "check the secret TOKEN",
    ] {
        assert!(events.contains(told), "{told}: {events}");
    }
    assert!(!events.contains("first-value") && !events.contains("second-value"));

    at.post(&format!("/instances/{id}/stop"), json!(null)).await;
    at.status_becomes(id, "stopped").await;
    assert!(agent.call("echo").await.unwrap_err().contains("stopped"));
    at.post(&format!("/instances/{id}/start"), json!(null))
        .await;
    at.status_becomes(id, "running").await;
    agent.call("echo").await.unwrap();
    at.delete(&format!("/instances/{id}")).await;
    at.status_becomes(id, "removed").await;
    at.stop().await;
}

#[tokio::test]
async fn a_remote_server_sees_of_each_agent_the_secret_of_its_own_link() {
    let server = Elsewhere::start("everybodys").await;
    let at = Installation::start().await;
    for name in ["everybodys", "of-one", "of-two"] {
        let path = format!("/secrets/{name}");
        at.put(&path, json!({"value": name})).await;
    }
    let body = json!({"catalog": "remote", "url": server.url, "secrets": {"TOKEN": "everybodys"}});
    let made = at.post("/instances", body).await;
    let id = made["id"].as_str().unwrap();
    at.status_becomes(id, "running").await;
    let agents = [
        (at.agent_called("any", id).await, "everybodys"),
        (at.agent_called("one", id).await, "of-one"),
        (at.agent_called("two", id).await, "of-two"),
    ];
    let carry = async |agent: &Agent, secret: &str| {
        let link = format!("/agents/{}/links/{id}", agent.id);
        at.put(&link, json!({"secrets": {"TOKEN": secret}})).await
    };
    for (agent, secret) in &agents[1..] {
        carry(agent, secret).await;
    }
    // Whoever has the server's only key gets in, and nobody else, whoever got in before.
    for (_, taken) in agents.iter().chain(&agents[..1]) {
        server.take_only(taken);
        let calls = agents.iter().map(|(agent, secret)| async move {
            let outcome = agent.call("echo").await;
            assert_eq!(outcome.is_ok(), secret == taken, "{secret}: {outcome:?}");
        });
        futures::future::join_all(calls).await;
    }
    // A new value, and another secret, count at once.
    server.take_only("next");
    at.put("/secrets/of-one", json!({"value": "next"})).await;
    agents[1].0.call("echo").await.unwrap();
    carry(&agents[2].0, "of-one").await;
    agents[2].0.call("echo").await.unwrap();
    let error = agents[0].0.call("echo").await.unwrap_err();
    assert!(error.contains("check the secret TOKEN"), "{error}");
    // What an agent can use is what it gets with its own.
    for ((agent, _), gets_in) in agents.iter().zip([false, true, true]) {
        let found = at.get(&format!("/agents/{}/discovery", agent.id)).await;
        assert_eq!(found.to_string().contains("\"echo\""), gets_in, "{found}");
    }
    let shown = server.shown();
    let known = ["everybodys", "of-one", "of-two", "next"].map(|value| format!("Bearer {value}"));
    for headers in shown {
        assert!(known.contains(&headers.authorization), "{headers:?}");
        assert!(!headers.others.contains("agentopia-link"), "{headers:?}");
    }
    at.stop().await;
}

#[tokio::test]
async fn a_server_that_redirects_is_not_followed_and_one_that_is_away_is_told() {
    let inner = Elsewhere::start("x").await;
    let outer = Elsewhere::redirecting_to(&inner.url).await;
    let at = Installation::start().await;
    let body = json!({"catalog": "remote", "name": "moved", "url": outer.url});
    let moved = at.post("/instances", body).await;
    let moved = moved["id"].as_str().unwrap();
    at.status_becomes(moved, "error_runtime").await;
    let said = at.get(&format!("/instances/{moved}")).await["error_message"].to_string();
    assert!(said.contains("redirects elsewhere"), "{said}");
    assert!(inner.shown().is_empty());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let body = json!({"catalog": "remote", "name": "away", "url": url});
    let away = at.post("/instances", body).await;
    let away = away["id"].as_str().unwrap();
    at.status_becomes(away, "error_runtime").await;
    let said = at.get(&format!("/instances/{away}")).await["error_message"].to_string();
    assert!(said.contains("can't be reached"), "{said}");
    tokio::time::timeout(Duration::from_secs(20), at.stop())
        .await
        .unwrap();
}
