//! Both directions of the trust between control plane and machines, over real TLS on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails where it stands"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::{Ambient, EnvironmentId};
use agentopia_pki::listener::{self, Peer};
use agentopia_pki::tls::{
    CaTrust, control_plane_client_config, control_plane_server_config, machine_client_config,
    machine_server_config,
};
use agentopia_pki::{CertificateAuthority, Issued, MachineKey, machine_host};
use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;

const HOUR: Duration = Duration::from_secs(3600);

struct Machine {
    id: EnvironmentId,
    key: MachineKey,
    issued: Issued,
}

fn enrol(ca: &CertificateAuthority, ambient: &Ambient) -> Machine {
    let id = ambient.new_id();
    let key = MachineKey::generate().unwrap();
    let csr = key.csr_pem("any name at all").unwrap();
    let issued = ca.issue_machine(id, &csr, HOUR, ambient).unwrap();
    Machine { id, key, issued }
}

/// A server that answers with the serial of whoever calls.
async fn serve(config: Arc<ServerConfig>) -> (SocketAddr, watch::Sender<Arc<ServerConfig>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = watch::channel(config);
    let router = Router::new().route(
        "/",
        get(|Extension(peer): Extension<Peer>| async move {
            peer.certificate
                .map_or_else(|| "nobody".to_owned(), |peer| peer.serial_hex.clone())
        }),
    );
    tokio::spawn(listener::serve(
        listener,
        receiver,
        router,
        std::future::pending(),
    ));
    (address, sender)
}

async fn call(address: SocketAddr, config: ClientConfig) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy()
        .build()?;
    client
        .get(format!("https://{address}/"))
        .send()
        .await?
        .text()
        .await
}

#[tokio::test]
async fn a_machine_is_known_to_the_control_plane_by_its_serial() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let machine = enrol(&ca, &ambient);
    let (own, key) = ca.issue_control_plane(HOUR, &ambient).unwrap();
    let config =
        control_plane_server_config(&own.certificate_pem, &key, ca.certificate_pem()).unwrap();
    let (address, _config) = serve(config).await;

    let trust = CaTrust::Pem(ca.certificate_pem().to_owned());
    let identity = Some((machine.issued.certificate_pem.as_str(), &machine.key));
    let known = machine_client_config(identity, &trust).unwrap();
    // By both versions of HTTP, and by whoever does not say which.
    for versions in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let mut known = known.clone();
        known.alpn_protocols = versions.iter().map(|it| it.as_bytes().to_vec()).collect();
        assert_eq!(
            call(address, known).await.unwrap(),
            machine.issued.serial_hex
        );
    }

    let first_contact =
        machine_client_config(None, &CaTrust::Fingerprint(ca.fingerprint())).unwrap();
    assert_eq!(call(address, first_contact).await.unwrap(), "nobody");

    let wrong = machine_client_config(None, &CaTrust::Fingerprint("00".repeat(32))).unwrap();
    assert!(
        call(address, wrong).await.is_err(),
        "another authority's fingerprint"
    );
}

#[tokio::test]
async fn a_machine_lets_in_its_control_plane_and_nobody_else() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let (machine, other) = (enrol(&ca, &ambient), enrol(&ca, &ambient));
    let config = machine_server_config(
        &machine.issued.certificate_pem,
        &machine.key,
        ca.certificate_pem(),
    )
    .unwrap();
    let (address, _config) = serve(config).await;

    let (own, key) = ca.issue_control_plane(HOUR, &ambient).unwrap();
    let client = |ca: &CertificateAuthority, own: &Issued, key: &MachineKey, host: &str| {
        control_plane_client_config(&own.certificate_pem, key, ca.certificate_pem(), host).unwrap()
    };
    let right = client(&ca, &own, &key, &machine_host(machine.id));
    assert_eq!(call(address, right).await.unwrap(), own.serial_hex);

    let expects_other = client(&ca, &own, &key, &machine_host(other.id));
    assert!(
        call(address, expects_other).await.is_err(),
        "the machine is not the one meant"
    );

    let as_machine = client(&ca, &other.issued, &other.key, &machine_host(machine.id));
    assert!(
        call(address, as_machine).await.is_err(),
        "another machine of ours"
    );

    let foreign_ca = CertificateAuthority::generate(&ambient).unwrap();
    let (foreign, foreign_key) = foreign_ca.issue_control_plane(HOUR, &ambient).unwrap();
    let impostor = control_plane_client_config(
        &foreign.certificate_pem,
        &foreign_key,
        ca.certificate_pem(),
        &machine_host(machine.id),
    )
    .unwrap();
    assert!(
        call(address, impostor).await.is_err(),
        "a control plane of another installation"
    );
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_gap() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let machine = enrol(&ca, &ambient);
    let server = |issued: &Issued, key: &MachineKey| {
        control_plane_server_config(&issued.certificate_pem, key, ca.certificate_pem()).unwrap()
    };
    let (old, old_key) = ca.issue_control_plane(HOUR, &ambient).unwrap();
    let (address, config) = serve(server(&old, &old_key)).await;
    let trust = CaTrust::Pem(ca.certificate_pem().to_owned());
    let client = || {
        let identity = Some((machine.issued.certificate_pem.as_str(), &machine.key));
        machine_client_config(identity, &trust).unwrap()
    };
    call(address, client()).await.unwrap();
    let (new, new_key) = ca.issue_control_plane(HOUR, &ambient).unwrap();
    config.send_replace(server(&new, &new_key));
    assert_eq!(
        call(address, client()).await.unwrap(),
        machine.issued.serial_hex
    );
}

#[tokio::test]
async fn a_shutdown_waits_for_no_connection_that_rests() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let (own, key) = ca.issue_control_plane(HOUR, &ambient).unwrap();
    let config =
        control_plane_server_config(&own.certificate_pem, &key, ca.certificate_pem()).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (_config, config) = watch::channel(config);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = Router::new().route("/", get(|| async { "here" }));
    let serving = tokio::spawn(listener::serve(socket, config, router, async {
        let _stopped = stopped.await;
    }));
    let trust = CaTrust::Pem(ca.certificate_pem().to_owned());
    let mut clients = Vec::new();
    for version in ["h2", "http/1.1"] {
        let mut config = machine_client_config(None, &trust).unwrap();
        config.alpn_protocols = vec![version.as_bytes().to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .no_proxy()
            .build()
            .unwrap();
        let asked = client.get(format!("https://{address}/")).send();
        assert_eq!(asked.await.unwrap().text().await.unwrap(), "here");
        clients.push(client);
    }
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), serving);
    ended.await.expect("it waits").unwrap();
    drop(clients);
}

#[tokio::test]
async fn connections_end_with_whoever_serves_them() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let (own, key) = ca.issue_control_plane(HOUR, &ambient).unwrap();
    let config =
        control_plane_server_config(&own.certificate_pem, &key, ca.certificate_pem()).unwrap();
    for version in ["h2", "http/1.1"] {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", socket.local_addr().unwrap());
        let (_config, config) = watch::channel(Arc::clone(&config));
        let router = Router::new().route("/", get(|| async { "here" }));
        let never = std::future::pending();
        let serving = tokio::spawn(listener::serve(socket, config, router, never));
        let mut tls =
            machine_client_config(None, &CaTrust::Pem(ca.certificate_pem().to_owned())).unwrap();
        tls.alpn_protocols = vec![version.as_bytes().to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .build()
            .unwrap();
        client.get(&url).send().await.unwrap().text().await.unwrap();
        serving.abort();
        let refused = async { while client.get(&url).send().await.is_ok() {} };
        let ended = tokio::time::timeout(Duration::from_secs(5), refused).await;
        assert!(ended.is_ok(), "{version}: the connection goes on");
    }
}

#[test]
fn the_authority_comes_back_from_the_vault_as_it_was() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let again = CertificateAuthority::from_pem(&ca.to_pem()).unwrap();
    assert_eq!(again.fingerprint(), ca.fingerprint());
    assert!(!format!("{ca:?}").contains("PRIVATE"));
}

#[test]
fn a_request_that_is_not_signed_by_its_key_is_refused() {
    let ambient = Ambient::system();
    let ca = CertificateAuthority::generate(&ambient).unwrap();
    let csr = MachineKey::generate().unwrap().csr_pem("name").unwrap();
    let id: EnvironmentId = ambient.new_id();
    let damaged = csr.replacen("\nMI", "\nMJ", 1);
    assert!(ca.issue_machine(id, &damaged, HOUR, &ambient).is_err());
    assert!(ca.issue_machine(id, "", HOUR, &ambient).is_err());
}
