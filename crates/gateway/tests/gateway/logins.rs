//! Tokens of browser logins (OAuth): where clients learn how to get one, and what one opens.

use agentopia_domain::Ambient;
use agentopia_domain::token::{TokenHash, TokenKind, mint};
use agentopia_gateway::{GatewayConfig, TokenRoute};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::access::steered;
use crate::rig::{Agent, Rig};
use crate::scripted::Scripted;
use crate::wire::Wire;

/// An access token of `agent`'s login number `login`.
fn login(rig: &mut Rig, agent: &Agent, login: &str) -> String {
    let token = mint(TokenKind::Access, &rig.ambient);
    rig.snapshot.tokens.push(TokenRoute {
        hash: token.hash,
        agent_id: agent.id,
        expires_at: Some(rig.ambient.now() + chrono::TimeDelta::hours(1)),
        login: Some(TokenHash::of(login)),
    });
    token.secret.expose_secret().to_owned()
}

#[tokio::test]
async fn who_is_refused_is_told_where_to_get_a_token() {
    let config = GatewayConfig {
        public_url: Some("https://tools.example".to_owned()),
        ..GatewayConfig::default()
    };
    let rig = Rig::with(config, Ambient::system()).await;
    let id = uuid::Uuid::nil();
    for (path, metadata) in [
        (format!("agents/{id}/mcp"), Some(format!("agents/{id}/mcp"))),
        (format!("agents/{id}/sse"), Some(format!("agents/{id}/sse"))),
        (
            format!("instances/{id}/mcp"),
            Some(format!("instances/{id}/mcp")),
        ),
        ("agents/x%22y/mcp".to_owned(), None),
    ] {
        for token in [None, Some("oat_wrong"), Some("agt_wrong")] {
            let mut request = rig.http.post(format!("{}/{path}", rig.base));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let reply = request.send().await.unwrap();
            assert_eq!(reply.status(), 401);
            let said = reply.headers()["www-authenticate"].to_str().unwrap();
            assert!(said.starts_with("Bearer "), "{said}");
            assert_eq!(said.contains("error=\"invalid_token\""), token.is_some());
            match &metadata {
                Some(at) => {
                    let url = format!(
                        "resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/{at}\""
                    );
                    assert!(said.contains(&url), "{said}");
                }
                None => assert!(!said.contains("resource_metadata"), "{said}"),
            }
        }
    }
}

#[tokio::test]
async fn a_login_opens_its_agents_endpoint_and_nothing_else() {
    let server = Scripted::with_tools(&["echo"]).await;
    let (mut rig, agent) = Rig::linked(&[("one", &server.url)]).await;
    let other = rig.agent(&[]);
    let instance = rig.snapshot.instances[0].id;
    let token = login(&mut rig, &agent, "first");
    rig.apply();
    let own = Wire::new(rig.http.clone(), rig.agent_url(&agent), &token);
    assert_eq!(own.opened().await.tools().await, ["echo"]);
    let elsewhere = Wire::new(rig.http.clone(), rig.agent_url(&other), &token);
    assert_eq!(
        elsewhere.modern_call("tools/list", json!({})).await.status,
        404
    );
    // The agent's own tokens open it; a login was for the endpoint that the consent page named. There
    // its client is told where to get another (RFC 6750).
    let direct = rig.wire_to(instance, &token);
    assert_eq!(
        direct.modern_call("tools/list", json!({})).await.status,
        401
    );
    let linked = rig.wire_to(instance, &agent.token);
    assert_eq!(
        linked.modern_call("tools/list", json!({})).await.status,
        200
    );
    // Never passed on (token passthrough).
    server
        .until("the lists", |seen| {
            for one in seen {
                assert!(!one.headers.contains_key("authorization"));
                assert!(!one.text.contains("oat_"), "{}", one.text);
            }
            seen.iter().any(|one| one.method() == "tools/list")
        })
        .await;
}

#[tokio::test]
async fn a_session_goes_on_with_the_next_token_and_ends_with_the_login() {
    let (clock, ambient) = steered();
    let mut rig = Rig::with(GatewayConfig::default(), ambient).await;
    let agent = rig.agent(&[]);
    let first = login(&mut rig, &agent, "login");
    rig.apply();
    let mut wire = Wire::new(rig.http.clone(), rig.agent_url(&agent), &first)
        .opened()
        .await;
    let mut standing = wire.standing().await;
    *clock.0.lock() += chrono::TimeDelta::minutes(61);
    assert_eq!(
        wire.call("ping", json!({})).await.status,
        401,
        "an hour is over"
    );
    let next = login(&mut rig, &agent, "login");
    let foreign = login(&mut rig, &agent, "another login");
    rig.apply();
    wire.use_token(&foreign);
    assert_eq!(wire.call("ping", json!({})).await.status, 404);
    wire.use_token(&next);
    assert_eq!(wire.call("ping", json!({})).await.status, 200);
    rig.snapshot.tokens.retain(|token| token.login.is_none());
    rig.apply();
    assert_eq!(standing.next().await, None, "its stream ends");
    assert_eq!(wire.call("ping", json!({})).await.status, 401);
}
