//! The HTTPS API: who is let in, and what bad input gets.

use agentopia_domain::Ambient;
use agentopia_domain::observed::Phase;
use agentopia_domain::token::{TokenKind, mint};
use agentopia_dtma_api::to_dtma::{DtmaClient, DtmaError, LogQuery, LogStream};
use agentopia_pki::tls::control_plane_client_config;
use agentopia_pki::{CertificateAuthority, machine_host};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use secrecy::ExposeSecret as _;

use crate::machine::Machine;
use crate::machine::tools::{GOOD, next};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_control_plane_with_both_credentials_is_let_in() {
    let machine = Machine::running().await;
    let port = machine.port().unwrap();
    let control_plane = &machine.control_plane;
    let (key, certificate, bearer) = control_plane.own();
    assert!(
        control_plane
            .client_with(port, key, certificate, bearer.clone())
            .info()
            .await
            .is_ok()
    );

    let other = mint(TokenKind::Dtma, &Ambient::system()).secret;
    let wrong_bearer = control_plane.client_with(port, key, certificate, other);
    let refused = wrong_bearer.info().await.unwrap_err();
    assert_eq!(refused.code(), Some("unauthenticated"));
    // Nor by the short way that MCP messages take, and the rightful one finds nothing there.
    let mcp = async |client: &DtmaClient| {
        let (id, body) = (Ambient::system().new_id(), Bytes::from_static(b"{}"));
        let asked = client.mcp(id, None, Method::POST, HeaderMap::new(), body);
        asked.await.unwrap().status()
    };
    assert_eq!(mcp(&wrong_bearer).await, StatusCode::UNAUTHORIZED);
    assert_eq!(mcp(&machine.client()).await, StatusCode::NOT_FOUND);

    // A machine of the same authority, even with the right bearer.
    let (machine_key, machine_certificate) = control_plane.machine_certificate();
    let machine_client =
        control_plane.client_with(port, &machine_key, &machine_certificate, bearer.clone());
    assert!(matches!(
        machine_client.info().await,
        Err(DtmaError::Unreachable(..))
    ));
    let (id, body) = (Ambient::system().new_id(), Bytes::new());
    let asked = machine_client.mcp(id, None, Method::POST, HeaderMap::new(), body);
    assert!(matches!(asked.await, Err(DtmaError::Unreachable(..))));

    // The right name from another authority.
    let ambient = Ambient::system();
    let authority = CertificateAuthority::generate(&ambient).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let (issued, foreign) = authority.issue_control_plane(hour, &ambient).unwrap();
    let foreign = control_plane.client_with(port, &foreign, &issued.certificate_pem, bearer);
    assert!(matches!(
        foreign.info().await,
        Err(DtmaError::Unreachable(..))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_and_changes_nothing() {
    let machine = Machine::running().await;
    let good = machine.tool("good", GOOD);
    let mut foreign = good.clone();
    foreign.environment_id = Ambient::system().new_id();
    let mut root = good.clone();
    root.volume = Some(agentopia_domain::spec::VolumeSpec {
        mount_path: "/../etc".to_owned(),
        of: None,
    });
    let client = machine.client();
    for (spec, code) in [(foreign, "other_environment"), (root, "invalid_spec")] {
        assert_eq!(client.put(&spec).await.unwrap_err().code(), Some(code));
    }
    let unknown = client
        .watch(good.instance_id, 1, Phase::Running)
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Some("instance_unknown"));

    let path = format!("/v1/instances/{}", good.instance_id);
    let huge = format!("\"{}\"", "x".repeat(2 << 20));
    for (path, body, code) in [
        (path.as_str(), "{", "invalid_body"),
        (path.as_str(), "{}", "invalid_body"),
        (path.as_str(), "null", "invalid_body"),
        (path.as_str(), huge.as_str(), "too_large"),
        ("/v1/instances/not-an-id", "{}", "invalid_id"),
        ("/v1/nothing", "{}", "not_found"),
    ] {
        assert_eq!(raw(&machine, path, body, "1").await, code, "{path}");
    }
    assert_eq!(
        raw(&machine, &path, "{}", "0").await,
        "protocol_unsupported"
    );
    assert!(client.instances().await.unwrap().is_empty());
    assert_eq!(
        std::fs::read_dir(machine.path("data/ledger"))
            .unwrap()
            .count(),
        0
    );
}

/// The code that a raw `PUT` gets.
async fn raw(machine: &Machine, path: &str, body: &str, protocol: &str) -> String {
    let (key, certificate, bearer) = machine.control_plane.own();
    let host = machine_host(machine.control_plane.environment);
    let ca = machine.control_plane.ca_pem();
    let tls = control_plane_client_config(certificate, key, ca, &host).unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap();
    let url = format!("https://127.0.0.1:{}{path}", machine.port().unwrap());
    let answer = client
        .put(url)
        .bearer_auth(bearer.expose_secret())
        .header(agentopia_dtma_api::PROTOCOL_HEADER, protocol)
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: agentopia_dtma_api::problem::Problem = answer.json().await.unwrap();
    problem.code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_generation_is_refused_before_and_after_removal() {
    let machine = Machine::running().await;
    let first = machine.tool("good", GOOD);
    let second = next(&first, |_| ());
    machine.run(&second).await;
    let client = machine.client();
    assert_eq!(
        client.put(&first).await.unwrap_err().code(),
        Some("stale_generation")
    );
    let gone = next(&second, |it| {
        it.desired = agentopia_domain::instance::DesiredInstance::Removed { purge_data: true };
    });
    client.put(&gone).await.unwrap();
    machine.phase(gone.instance_id, Phase::Removed).await;
    assert_eq!(
        client.put(&second).await.unwrap_err().code(),
        Some("stale_generation")
    );
    assert_eq!(client.put(&gone).await.unwrap().phase, Phase::Removed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_every_change() {
    let machine = Machine::running().await;
    let spec = machine.tool("good", GOOD);
    let client = machine.client();
    let mut seen = client.put(&spec).await.unwrap();
    while seen.phase != Phase::Running {
        seen = client
            .watch(spec.instance_id, seen.generation, seen.phase)
            .await
            .unwrap();
    }
    assert_eq!(seen.running_version.as_deref(), Some("1.0.0"));
    let endpoint = format!("/v1/instances/{}/mcp", spec.instance_id);
    assert_eq!(seen.runtime.endpoint, Some(endpoint));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_told_from_the_end_and_followed() {
    let machine = Machine::running().await;
    let spec = machine.tool("talker", &format!("echo one >&2; echo two >&2; {GOOD}"));
    machine.run(&spec).await;
    let client = machine.client();
    let query = LogQuery {
        tail: 1,
        follow: false,
    };
    let lines: Vec<_> = client
        .logs(spec.instance_id, query)
        .await
        .unwrap()
        .collect()
        .await;
    let line = lines[0].as_ref().unwrap();
    assert_eq!(
        (line.line.as_str(), line.stream, lines.len()),
        ("two", LogStream::Stderr, 1)
    );

    let query = LogQuery {
        tail: 0,
        follow: true,
    };
    let mut following = client.logs(spec.instance_id, query).await.unwrap();
    let restarted = next(&spec, |it| it.restart_nonce = 1);
    client.put(&restarted).await.unwrap();
    assert_eq!(following.next().await.unwrap().unwrap().line, "one");
    let gone = next(&restarted, |it| {
        it.desired = agentopia_domain::instance::DesiredInstance::Removed { purge_data: true };
    });
    client.put(&gone).await.unwrap();
    while let Some(line) = following.next().await {
        line.unwrap();
    }
}
