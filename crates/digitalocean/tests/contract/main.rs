//! The client against DigitalOcean's contract (`contract/openapi.yaml`), served by Prism: every
//! operation is called, Prism has to accept the request, and the answer has to be read.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; clippy sees only functions marked as tests"
)]

mod calls;
mod operations;
mod prism;
mod to_prism;

use std::collections::BTreeSet;
use std::sync::Arc;

use agentopia_digitalocean::{Budget, Client, DropletId, Endpoint, Error, Reason, Transport as _};
use agentopia_domain::Ambient;
use bytes::Bytes;
use secrecy::SecretString;

use operations::Operation;
use prism::Prism;
use to_prism::{Answers, ToPrism};

/// A client of what it takes for DigitalOcean.
fn client(transport: &Arc<ToPrism>) -> Client {
    let token = SecretString::from("dop_v1_contract");
    let transport = transport.clone();
    Client::new(
        transport,
        Endpoint::production(),
        token,
        Budget::default(),
        Ambient::system(),
    )
    .unwrap()
}

#[tokio::test]
async fn contract_every_operation_is_accepted_and_its_example_is_read() {
    let prism = Prism::start().await;
    let transport = Arc::new(ToPrism::new(&prism, Answers::Examples));
    calls::all(&client(&transport)).await;
    assert_eq!(transport.violations(), Vec::<String>::new());

    let called = transport.called();
    let missing: BTreeSet<Operation> = operations::of_contract()
        .into_iter()
        .filter(|operation| {
            !called
                .iter()
                .any(|(method, path)| operation.is(method, path))
        })
        .collect();
    assert_eq!(
        missing,
        BTreeSet::new(),
        "operations of the contract that no test calls"
    );
}

#[tokio::test]
async fn contract_whatever_the_schemas_allow_is_read() {
    let prism = Prism::start().await;
    for seed in ["1", "2", "3", "4", "5"] {
        let transport = Arc::new(ToPrism::new(&prism, Answers::MadeUp { seed }));
        calls::all(&client(&transport)).await;
        assert_eq!(transport.violations(), Vec::<String>::new(), "seed {seed}");
    }
}

#[tokio::test]
async fn contract_refusals_are_understood() {
    let prism = Prism::start().await;
    for (status, reason) in [
        (401, Reason::BadToken),
        (404, Reason::NotFound),
        (500, Reason::ServerError),
    ] {
        let transport = Arc::new(ToPrism::new(&prism, Answers::Status(status)));
        let client = client(&transport);
        let firewall = calls::firewall();
        let result = client
            .firewalls()
            .replace(&calls::firewall_id(), &firewall)
            .await;
        let error = result.unwrap_err();
        assert_eq!(error.reason(), Some(&reason), "{error}");
        assert_eq!(transport.violations(), Vec::<String>::new());
    }
    let transport = Arc::new(ToPrism::new(&prism, Answers::Status(429)));
    let limited = client(&transport).droplets().create(&calls::wish()).await;
    assert!(matches!(limited, Err(Error::RateLimited(_))), "{limited:?}");
    let transport = Arc::new(ToPrism::new(&prism, Answers::Status(404)));
    let gone = client(&transport)
        .droplets()
        .get(DropletId(1))
        .await
        .unwrap();
    assert_eq!(gone, None);
    // The other form of an error, which tags have.
    let transport = Arc::new(ToPrism::new(&prism, Answers::Status(400)));
    let tag = agentopia_digitalocean::TagName::parse("a").unwrap();
    let error = client(&transport).tags().create(&tag).await.unwrap_err();
    let words = error.failure().unwrap().words.as_deref().unwrap();
    assert!(words.contains("contains invalid characters"), "{words}");
}

/// Else the tests above could not fail.
#[tokio::test]
async fn contract_prism_refuses_what_does_not_fit() {
    let prism = Prism::start().await;
    let transport = ToPrism::new(&prism, Answers::Examples);
    let send = async |method: &str, path: &str, body: &'static str| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://api.digitalocean.com{path}"))
            .header("authorization", "Bearer x")
            .header("content-type", "application/json")
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        transport.send(request).await.unwrap().status()
    };
    for (method, path, body) in [
        (
            "POST",
            "/v2/droplets",
            r#"{"name":"under_score","size":"s","image":"i"}"#,
        ),
        ("POST", "/v2/droplets", r#"{"name":"a","image":"i"}"#),
        ("POST", "/v2/tags", r#"{"name":"a b"}"#),
        (
            "PUT",
            "/v2/firewalls/not-a-uuid",
            r#"{"name":"fw","inbound_rules":[]}"#,
        ),
        ("GET", "/v2/droplets?per_page=201", ""),
        ("DELETE", "/v2/droplets", ""),
        ("GET", "/v2/unknown", ""),
    ] {
        let status = send(method, path, body).await;
        assert!(status.is_client_error(), "{method} {path} {body}: {status}");
        assert_eq!(transport.violations().len(), 1, "{method} {path} {body}");
    }
    assert_eq!(send("GET", "/v2/account", "").await, 200);
}
