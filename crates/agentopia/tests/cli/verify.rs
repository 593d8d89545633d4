//! `agentopia verify`: what is seen from outside. What the server sees of itself is played here, and
//! real in the tests of whole installations.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{INSTALLATION, Server, finish};

/// A proxy with a certificate that ends `days` from now, in front of an installation; its address.
/// The authority that issued it is written to `ca`.
async fn proxy(ca: &Path, name: &str, days: i64, installation: &str) -> String {
    let now = OffsetDateTime::now_utc();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    let own = ca.display().to_string();
    authority.distinguished_name.push(DnType::CommonName, own);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(ca, authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = now - Duration::days(100);
    params.not_after = now + Duration::days(days) + Duration::hours(1);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let health = json!({"status": "ok", "version": "1.2.3", "installation": installation});
    let health = health.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not like the certificate hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
            assert!(request.starts_with("get /health"), "{request}");
            assert!(
                !request.contains("authorization"),
                "a token was sent: {request}"
            );
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{health}", health.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    format!("https://localhost:{port}")
}

/// What verification finds at a public address, with the authority in `ca` trusted.
async fn verified(public_url: &str, ca: &Path) -> (Option<i32>, Value) {
    let server = Server::with_admin_at(Some(public_url)).await;
    let mut command = server.command("verify -o json");
    command.env("SSL_CERT_FILE", ca);
    let ran = finish(command, "").await;
    (ran.code, serde_json::from_str(&ran.out).unwrap())
}

fn found<'v>(report: &'v Value, name: &str) -> (&'v str, &'v str) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("{name}: {report:#}"));
    (
        check["outcome"].as_str().unwrap(),
        check["detail"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn a_good_installation_passes_line_by_line() {
    let server = Server::with_admin().await;
    let ran = server.run("verify").await.ok();
    assert!(
        ran.out
            .contains("ok       control_plane.database: it answers\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("ok       public_url.answer: "),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("skipped  public_url.tls: "), "{}", ran.out);
    assert!(ran.out.contains("skipped  canary: "), "{}", ran.out);
    assert!(
        ran.out.ends_with("4 ok, 0 warning, 0 failed, 3 skipped\n"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn a_certificate_is_looked_at_with_the_days_that_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let fine = proxy(&ca, "localhost", 60, INSTALLATION).await;
    let (code, report) = verified(&fine, &ca).await;
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report:#}");
    assert_eq!(
        found(&report, "public_url.tls"),
        ("ok", "its certificate is valid for 60 more days")
    );
    assert_eq!(found(&report, "public_url.answer").0, "ok");

    let soon = proxy(&ca, "localhost", 3, INSTALLATION).await;
    let (code, report) = verified(&soon, &ca).await;
    assert_eq!(
        (code, &report["warnings"]),
        (Some(0), &json!(1)),
        "{report:#}"
    );
    let (outcome, detail) = found(&report, "public_url.tls");
    assert!(
        outcome == "warning" && detail.contains("ends in 3 days"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_certificate_that_no_client_takes_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let other = dir.path().join("other.pem");
    for (name, days, trusted, said) in [
        ("localhost", -2, &ca, "has expired"),
        ("elsewhere.example", 60, &ca, "is for another name"),
        ("localhost", 60, &other, "nobody whom this machine trusts"),
    ] {
        let url = proxy(&ca, name, days, INSTALLATION).await;
        proxy(&other, "localhost", 60, INSTALLATION).await;
        let (code, report) = verified(&url, trusted).await;
        assert_eq!(
            (code, &report["failed"]),
            (Some(1), &json!(1)),
            "{report:#}"
        );
        let (outcome, detail) = found(&report, "public_url.tls");
        assert!(
            outcome == "failed" && detail.contains(said),
            "{said}: {detail}"
        );
        assert_eq!(found(&report, "public_url.answer").0, "skipped");
    }
}

#[tokio::test]
async fn another_installation_at_the_address_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let url = proxy(&ca, "localhost", 60, "fedcba9876543210").await;
    let (code, report) = verified(&url, &ca).await;
    assert_eq!(code, Some(1));
    let (outcome, detail) = found(&report, "public_url.answer");
    assert!(
        outcome == "failed" && detail.contains("another installation"),
        "{detail}"
    );
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_told_by_part() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    proxy(&ca, "localhost", 60, INSTALLATION).await;
    let (code, report) = verified("https://no-such-name.invalid", &ca).await;
    assert_eq!(code, Some(1));
    let (outcome, detail) = found(&report, "public_url.dns");
    assert!(
        outcome == "failed" && detail.contains("DNS record"),
        "{detail}"
    );

    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("https://{}", socket.local_addr().unwrap());
    drop(socket);
    let (code, report) = verified(&closed, &ca).await;
    assert_eq!(code, Some(1));
    let (outcome, detail) = found(&report, "public_url.answer");
    assert!(
        outcome == "failed" && detail.contains("can't be reached from here"),
        "{detail}"
    );
    // What the server said of itself is there all the same.
    assert_eq!(found(&report, "control_plane.database").0, "ok");
}

#[tokio::test]
async fn a_canary_needs_an_environment_and_says_so() {
    let server = Server::with_admin().await;
    let ran = server.run("verify --canary").await;
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let line = ran
        .out
        .lines()
        .find(|line| line.starts_with("failed"))
        .unwrap();
    assert!(
        line.contains("canary") && line.contains("agentopia env enable"),
        "{line}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_start_is_helped_by_its_configuration() {
    let server = Server::with_admin().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agentopia.toml");
    let report = async |text: &str, environment: &[(&str, &str)]| {
        std::fs::write(&file, text).unwrap();
        let mut command = server.command(&format!("verify -o json --config {}", file.display()));
        command.envs(environment.iter().copied());
        let ran = finish(command, "").await;
        (ran.code, serde_json::from_str::<Value>(&ran.out).unwrap())
    };
    let (code, typo) = report("bnid = '127.0.0.1:1'", &[]).await;
    assert_eq!(code, Some(1));
    let (outcome, detail) = found(&typo, "configuration");
    assert!(
        outcome == "failed" && detail.contains("unknown key `bnid`"),
        "{detail}"
    );

    let (_, without) = report("provider = 'digitalocean'", &[]).await;
    let (outcome, detail) = found(&without, "configuration");
    assert!(
        outcome == "failed" && detail.contains("set DO_API_TOKEN"),
        "{detail}"
    );

    // A server that nobody reaches is a finding among others.
    let away = [
        ("AGENTOPIA_URL", "http://127.0.0.1:9"),
        ("AGENTOPIA_TOKEN", "pat_x"),
    ];
    let (code, away) = report("bnid = 1", &away).await;
    assert_eq!(code, Some(1));
    assert_eq!(found(&away, "configuration").0, "failed");
    assert_eq!(found(&away, "server").0, "failed");
    assert_eq!(found(&away, "public_url.answer").0, "failed");
}

#[tokio::test]
async fn only_admins_verify() {
    let server = Server::start().await;
    let ran = server.run("verify").await;
    assert_eq!(ran.code, Some(3), "{}", ran.err);
}
