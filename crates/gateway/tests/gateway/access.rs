//! Who gets in, and limits: the guards of rule 20, tokens, bodies, idle sessions, audit.

use std::num::NonZeroU32;
use std::sync::Arc;

use agentopia_domain::{Ambient, Clock, SystemEntropy};
use agentopia_gateway::{CallLimits, CallOutcome, GatewayConfig};
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde_json::json;

use crate::rig::Rig;
use crate::scripted::Scripted;
use crate::wire::Wire;

#[derive(Debug, Clone)]
pub(crate) struct Steered(pub(crate) Arc<Mutex<DateTime<Utc>>>);

impl Clock for Steered {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
    }
}

pub(crate) fn steered() -> (Steered, Ambient) {
    let clock = Steered(Arc::new(Mutex::new(
        DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
    )));
    let ambient = Ambient::new(Arc::new(clock.clone()), Arc::new(SystemEntropy));
    (clock, ambient)
}

#[tokio::test]
async fn rule_20_foreign_hosts_and_origins_are_refused() {
    let (rig, agent) = Rig::linked(&[]).await;
    let wire = rig.wire(&agent);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (name, value) in [
        ("host", "evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let reply = wire.send(wire.posting(ping).header(name, value)).await;
        assert_eq!(reply.status, 403, "{name}: {value}");
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_revealed() {
    let mut rig = Rig::start().await;
    let instance = rig.instance("one", "http://127.0.0.1:1/mcp");
    let (a, b) = (rig.agent(&[instance]), rig.agent(&[]));
    rig.apply();
    let ask = async |url: String, token: &str| {
        let wire = Wire::new(rig.http.clone(), url, token);
        let reply = wire.call("ping", json!({})).await;
        (
            reply.status,
            reply.body,
            reply.headers.get("www-authenticate").is_some(),
        )
    };
    let own = rig.agent_url(&a);
    let unknown = format!(
        "{}/agents/{}/mcp",
        rig.base,
        rig.ambient.new_id::<agentopia_domain::AgentId>()
    );
    let nonsense = format!("{}/agents/x/mcp", rig.base);
    let server = rig.instance_url(instance);
    let unknown_server = rig.instance_url(rig.ambient.new_id());
    // No token, a wrong one, one of another kind: the same for what is there and what is not.
    for token in ["", "agt_x", "pat_x", &agentopia_token()] {
        let answers = [
            ask(own.clone(), token).await,
            ask(unknown.clone(), token).await,
            ask(nonsense.clone(), token).await,
            ask(server.clone(), token).await,
            ask(unknown_server.clone(), token).await,
        ];
        assert!(
            answers.iter().all(|a| a == &answers[0]),
            "{token}: {answers:?}"
        );
        assert_eq!((answers[0].0, answers[0].2), (401, true));
    }
    // A good token of somebody else.
    let foreign = [
        ask(own.clone(), &b.token).await,
        ask(unknown, &b.token).await,
        ask(nonsense, &b.token).await,
        ask(server, &b.token).await,
        ask(unknown_server, &b.token).await,
    ];
    assert!(foreign.iter().all(|a| a == &foreign[0]), "{foreign:?}");
    assert_eq!(foreign[0].0, 404);
    assert_eq!(
        ask(own, &a.token).await.0,
        400,
        "the owner gets as far as the missing session"
    );
}

/// At an instance's own endpoint messages pass as they are, so nothing would hold back the tools
/// that a link's allow-list leaves out.
#[tokio::test]
async fn a_link_for_some_tools_does_not_open_the_instance_itself() {
    let server = Scripted::with_tools(&["read", "write"]).await;
    let (mut rig, agent) = Rig::linked(&[("files", &server.url)]).await;
    let instance = rig.snapshot.instances[0].id;
    let direct = rig.wire_to(instance, &agent.token).opened().await;
    assert_eq!(direct.tools().await, ["read", "write"]);
    rig.policy(0).allowed_tools = Some(vec!["read".to_owned()]);
    rig.apply();
    for name in ["read", "write"] {
        let call = direct.call("tools/call", json!({"name": name})).await;
        assert_eq!(call.status, 404, "{name}");
    }
    let anew = rig.wire_to(instance, &agent.token);
    assert_eq!(anew.modern_call("tools/list", json!({})).await.status, 404);
    assert_eq!(rig.wire(&agent).opened().await.tools().await, ["read"]);
    assert_eq!(rig.gateway.counts().sessions, 1, "the direct one ended");
}

/// Well formed, but nobody's.
fn agentopia_token() -> String {
    let token = agentopia_domain::token::mint(
        agentopia_domain::token::TokenKind::Agent,
        &Ambient::system(),
    );
    secrecy::ExposeSecret::expose_secret(&token.secret).to_owned()
}

#[tokio::test]
async fn tokens_expire_and_are_taken_back_at_once() {
    let (clock, ambient) = steered();
    let mut rig = Rig::with(GatewayConfig::default(), ambient).await;
    let agent = rig.agent(&[]);
    rig.snapshot.tokens[0].expires_at = Some(*clock.0.lock() + TimeDelta::seconds(10));
    rig.apply();
    let wire = rig.wire(&agent).opened().await;
    assert_eq!(wire.call("ping", json!({})).await.status, 200);
    *clock.0.lock() += TimeDelta::seconds(10);
    assert_eq!(wire.call("ping", json!({})).await.status, 401);
    rig.snapshot.tokens[0].expires_at = None;
    rig.apply();
    let mut standing = wire.standing().await;
    rig.snapshot.tokens.clear();
    rig.apply();
    assert_eq!(wire.call("ping", json!({})).await.status, 401);
    assert_eq!(standing.next().await, None, "streams that it opened end");
    assert_eq!(rig.gateway.counts().sessions, 0);
}

/// A proxy before us may have looked at the other one.
#[tokio::test]
async fn of_two_tokens_none_is_taken() {
    let (rig, agent) = Rig::linked(&[]).await;
    let wire = rig.wire(&agent).opened().await;
    let ping = || wire.posting(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(wire.send(ping()).await.status, 200);
    for other in [
        "Bearer agt_x",
        "Basic eDp5",
        &format!("Bearer {}", agent.token),
    ] {
        let reply = wire.send(ping().header("authorization", other)).await;
        assert_eq!(reply.status, 401, "{other}");
    }
}

#[tokio::test]
async fn a_token_in_the_address_is_refused() {
    let (rig, agent) = Rig::linked(&[]).await;
    for query in [
        format!("?x={}", agent.token),
        "?access_token=abc".to_owned(),
    ] {
        let wire = Wire::new(
            rig.http.clone(),
            rig.agent_url(&agent) + &query,
            &agent.token,
        );
        let reply = wire.call("ping", json!({})).await;
        assert_eq!(reply.status, 400);
        // A request without a session gets the same status.
        let said = reply.body;
        assert!(
            said.contains("tokens are not taken from the address"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn bodies_have_a_limit_and_a_type() {
    let (rig, agent) = Rig::linked(&[]).await;
    let wire = rig.wire(&agent).opened().await;
    let ping = |n| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
            "x".repeat(n)
        )
    };
    assert_eq!(wire.post(ping((4 << 20) - 100)).await.status, 200);
    assert_eq!(wire.post(ping(4 << 20)).await.status, 413);
    let text = wire
        .request(http::Method::POST)
        .header("content-type", "text/plain")
        .body(ping(1));
    assert_eq!(wire.send(text).await.status, 415);
    for bad in [
        "",
        "{",
        "[]",
        "7",
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","id":2}"#,
    ] {
        assert_eq!(wire.post(bad).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn idle_sessions_end_and_used_ones_stay() {
    let (clock, ambient) = steered();
    let mut rig = Rig::with(GatewayConfig::default(), ambient).await;
    let server = Scripted::with_tools(&["echo"]).await;
    let instance = rig.instance("one", &server.url);
    let agent = rig.agent(&[instance]);
    rig.apply();
    let idle = rig.wire(&agent).opened().await;
    idle.tools().await;
    let listening = rig.wire(&agent).opened().await;
    let _standing = listening.standing().await;
    rig.wire(&agent)
        .modern_call("tools/list", json!({}))
        .await
        .result();
    assert_eq!(
        (
            rig.gateway.counts().sessions,
            rig.gateway.counts().modern_clients
        ),
        (2, 1)
    );
    *clock.0.lock() += TimeDelta::minutes(31);
    rig.gateway.expire_idle();
    assert_eq!(
        (
            rig.gateway.counts().sessions,
            rig.gateway.counts().modern_clients
        ),
        (1, 0)
    );
    assert_eq!(idle.call("ping", json!({})).await.status, 404);
    assert_eq!(listening.call("ping", json!({})).await.status, 200);
    server
        .until("the goodbyes", |s| {
            s.iter().filter(|s| s.http == "DELETE").count() == 2
        })
        .await;
}

#[tokio::test]
async fn sessions_are_counted_and_the_longest_unused_makes_room() {
    let (clock, ambient) = steered();
    let config = GatewayConfig {
        max_sessions_per_principal: 2,
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, ambient).await;
    let (agent, other) = (rig.agent(&[]), rig.agent(&[]));
    rig.apply();
    let mut wires = Vec::new();
    for _ in 0..3 {
        wires.push(rig.wire(&agent).opened().await);
        *clock.0.lock() += TimeDelta::seconds(1);
    }
    assert_eq!(wires[0].call("ping", json!({})).await.status, 404);
    let _streams = (wires[1].standing().await, wires[2].standing().await);
    let mut refused = rig.wire(&agent);
    assert_eq!(
        refused.initialize("2025-11-25", json!({})).await.status,
        503
    );
    rig.wire(&other).opened().await;
}

#[tokio::test]
async fn an_instances_endpoint_is_for_linked_agents_and_its_owner() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let instance = rig.snapshot.instances[0].id;
    let owner = rig.wire_to(instance, &rig.person).opened().await;
    owner.tool("echo", json!({})).await.result();
    let linked = rig.wire_to(instance, &agent.token).opened().await;
    linked.tool("echo", json!({})).await.result();
    let records = rig.records.at_least(2).await;
    assert_eq!(
        (records[0].agent_id, records[0].user_id.is_some()),
        (None, true)
    );
    assert_eq!(
        (records[1].agent_id, records[1].user_id),
        (Some(agent.id), None)
    );
    let mut standing = linked.standing().await;
    rig.snapshot.agents[0].links.clear();
    rig.apply();
    assert_eq!(linked.call("ping", json!({})).await.status, 404);
    assert_eq!(standing.next().await, None);
    assert_eq!(owner.call("ping", json!({})).await.status, 200);
}

#[tokio::test]
async fn every_call_is_recorded() {
    let server = Scripted::with_tools(&["echo"]).await;
    let other = Scripted::with_tools(&["echo"]).await;
    let (rig, agent) = Rig::linked(&[("one", &server.url), ("two", &other.url)]).await;
    let wire = rig.wire(&agent).opened().await;
    wire.tools().await;
    wire.tool("two__echo", json!({"a": 1})).await.result();
    wire.call("prompts/get", json!({"name": "none"}))
        .await
        .code();
    drop(other);
    wire.tool("two__echo", json!({})).await.code();
    rig.gateway.shutdown().await;
    let records = rig.records.at_least(2).await;
    assert_eq!(records.len(), 2, "{records:?}");
    let first = &records[0];
    assert_eq!(
        (first.method, first.target.as_str()),
        ("tools/call", "echo")
    );
    assert_eq!(first.instance_id, rig.snapshot.instances[1].id);
    assert_eq!(first.agent_id, Some(agent.id));
    assert_eq!(first.outcome, CallOutcome::Answered);
    assert!(first.request_bytes > 50 && first.response_bytes > 50);
    assert_eq!(records[1].outcome, CallOutcome::Failed);
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back() {
    let server = Scripted::with_tools(&["echo", "other"]).await;
    // One call at once, and the next ten seconds later.
    let six = NonZeroU32::new(6);
    let config = GatewayConfig {
        calls: CallLimits {
            agent: six,
            tool: six,
            ..CallLimits::NONE
        },
        ..GatewayConfig::default()
    };
    let mut rig = Rig::with(config, Ambient::system()).await;
    let instance = rig.instance("one", &server.url);
    let agents = [(); 3].map(|()| rig.agent(&[instance]));
    rig.apply();
    let [first, second, third] = [0, 1, 2].map(|n| rig.wire(&agents[n]));
    let first = first.opened().await;
    first.tool("echo", json!({})).await.result();
    let refused = first.tool("other", json!({})).await;
    assert_eq!(refused.status, 429);
    let after: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((9..=10).contains(&after), "{after}");
    let error = &refused.answer()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("this agent: 6 a minute"), "{message}");
    assert!(error["data"]["retryAfterMs"].as_u64().unwrap() <= 10_000);
    // What is no call is not counted; an agent's bucket is its own, a tool's is everybody's.
    assert_eq!(first.tools().await, ["echo", "other"]);
    let refused = second
        .modern_call("tools/call", json!({"name": "echo"}))
        .await;
    assert_eq!(refused.status, 429);
    let message = refused.answer()["error"]["message"].to_string();
    assert!(message.contains("this tool: 6 a minute"), "{message}");
    let passed = third
        .modern_call("tools/call", json!({"name": "other"}))
        .await;
    passed.result();
    let seen = server.seen();
    let calls = seen.iter().filter(|seen| seen.method() == "tools/call");
    assert_eq!(calls.count(), 2, "what was refused was not made");
    let records = rig.records.at_least(4).await;
    let limited = records
        .iter()
        .filter(|it| it.outcome == CallOutcome::Limited);
    assert_eq!(limited.count(), 2);
}

#[tokio::test]
async fn every_answer_protects_itself() {
    for (public_url, https) in [
        ("https://tools.example", true),
        ("http://tools.example", false),
    ] {
        let config = GatewayConfig {
            public_url: Some(public_url.to_owned()),
            ..GatewayConfig::default()
        };
        let mut rig = Rig::with(config, Ambient::system()).await;
        let server = Scripted::with_tools(&["echo"]).await;
        let instance = rig.instance("one", &server.url);
        let agent = rig.agent(&[instance]);
        rig.apply();
        let wire = rig.wire(&agent).opened().await;
        let stranger = Wire::new(rig.http.clone(), rig.agent_url(&agent), "agt_wrong");
        let answers = [
            (200, wire.call("tools/list", json!({})).await),
            (
                202,
                wire.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
                    .await,
            ),
            (400, wire.post("{").await),
            (401, stranger.call("ping", json!({})).await),
            (405, wire.send(wire.request(http::Method::PUT)).await),
        ];
        for (status, answer) in answers {
            assert_eq!(answer.status, status);
            let header = |name| answer.headers.get(name).map(|it| it.to_str().unwrap());
            assert_eq!(
                header("x-content-type-options"),
                Some("nosniff"),
                "{status}"
            );
            assert_eq!(header("cache-control"), Some("no-store"), "{status}");
            let strict = header("strict-transport-security");
            assert_eq!(strict.is_some(), https, "{status}: {strict:?}");
        }
    }
}
