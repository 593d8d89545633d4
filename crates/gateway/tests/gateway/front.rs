//! The front door: connections that dawdle, and mistakes of our own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_gateway::{
    Gateway, GatewayConfig, GatewayParts, InstanceRoute, NoSleep, PersonPrincipal,
    PrincipalAuthoriser, Rest, Snapshot, TracingAudit, UpstreamLocation, front,
};
use async_trait::async_trait;
use axum::body::Body;
use http::{HeaderMap, Response};
use secrecy::SecretBox;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::rig::{Book, Direct};

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Under virtual time, which goes on when nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn whoever_dawdles_with_a_head_is_let_go() {
    let (listener, address) = listening().await;
    let answer = |_request, _peer| async { Response::new(Body::empty()) };
    tokio::spawn(front::serve(listener, answer, CancellationToken::new()));
    let begun = Instant::now();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"POST /agents/a/mcp HTTP/1.1\r\nhost: localh")
        .await
        .unwrap();
    // Nothing is said that could be taken for an answer to a request.
    let mut said = Vec::new();
    slow.read_to_end(&mut said).await.unwrap();
    let waited = begun.elapsed();
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", said.escape_ascii());
    assert!(
        (Duration::from_secs(60)..Duration::from_secs(90)).contains(&waited),
        "{waited:?}"
    );
}

/// Makes a mistake at every question.
struct Mistaken;

#[async_trait]
impl PrincipalAuthoriser for Mistaken {
    #[expect(clippy::panic, reason = "the mistake")]
    async fn authorise(&self, _: &HeaderMap, _: &InstanceRoute) -> Option<PersonPrincipal> {
        panic!("a mistake, for a test")
    }
}

#[tokio::test]
async fn a_mistake_of_ours_costs_its_own_request_alone() {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let ambient = Ambient::system();
    let gateway = Gateway::start(GatewayParts {
        config: GatewayConfig::default(),
        ambient: ambient.clone(),
        seal_key: SecretBox::new(Box::new(ambient.random())),
        connector: Arc::new(Direct(reqwest::Client::new())),
        name_book: Arc::new(Book::default()),
        authoriser: Arc::new(Mistaken),
        audit: Arc::new(TracingAudit),
        waker: Arc::new(NoSleep),
    });
    let id = ambient.new_id();
    let mut snapshot = Snapshot::default();
    snapshot.instances.push(InstanceRoute {
        id,
        account_id: ambient.new_id(),
        name: "one".into(),
        slug: "one".into(),
        location: UpstreamLocation::Url("http://127.0.0.1:1/".parse().unwrap()),
        epoch: "1".into(),
        rest: Rest::Never,
        available: Ok(()),
        credentials: None,
    });
    gateway.replace(snapshot);
    let (listener, address) = listening().await;
    let answer = move |request, _peer| {
        let gateway = gateway.clone();
        async move { gateway.handle(request).await }
    };
    tokio::spawn(front::serve(listener, answer, CancellationToken::new()));
    let http = reqwest::Client::new();
    let post = |path: String| http.post(format!("http://{address}{path}")).send();
    let broken = post(format!("/instances/{id}/mcp")).await.unwrap();
    assert_eq!(broken.status(), 500);
    assert_eq!(broken.headers()["x-content-type-options"], "nosniff");
    let said: serde_json::Value = broken.json().await.unwrap();
    assert_eq!(said["error"]["code"], -32603);
    assert!(!said.to_string().contains("for a test"), "{said}");
    // On the same connection, too.
    let next = post("/agents/nobody/mcp".to_owned()).await.unwrap();
    assert_eq!(next.status(), 401);
}
