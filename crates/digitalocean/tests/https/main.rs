//! The real transport against servers on loopback that misbehave: what it tells of whether a
//! request was sent, and how often it sends one.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; clippy sees only functions marked as tests"
)]

mod server;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use agentopia_digitalocean::droplets::{ImageRef, NewDroplet};
use agentopia_digitalocean::{
    Budget, Client, DropletName, Endpoint, Error, HttpsTransport, Reason, Sent, Transport as _,
};
use agentopia_domain::Ambient;
use bytes::Bytes;
use http::{Method, Request};
use secrecy::SecretString;

use server::{Reply, Server};

const TOKEN: &str = "dop_v1_canary0123456789";

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::parse(&format!("http://{address}")).unwrap()
}

fn transport(address: SocketAddr) -> HttpsTransport {
    HttpsTransport::new(&endpoint(address)).unwrap()
}

fn client(address: SocketAddr) -> Client {
    let transport = Arc::new(transport(address));
    let token = SecretString::from(TOKEN);
    Client::new(
        transport,
        endpoint(address),
        token,
        Budget::default(),
        Ambient::system(),
    )
    .unwrap()
}

fn request(method: Method, address: SocketAddr) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(format!("http://{address}/v2/droplets"))
        .body(Bytes::from_static(b"{}"))
        .unwrap()
}

fn wish() -> NewDroplet {
    let image = ImageRef::Slug("ubuntu-24-04-x64".into());
    NewDroplet::new(DropletName::parse("a").unwrap(), "s-1vcpu-1gb", image)
}

#[tokio::test]
async fn an_answer_comes_through_whatever_its_status() {
    let server = Server::start([Reply::Answer(503, "{\"id\":\"x\"}".to_owned())]).await;
    let answer = transport(server.address())
        .send(request(Method::POST, server.address()))
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.body(), "{\"id\":\"x\"}");
    assert_eq!(answer.headers()["x-test"], "yes");
}

#[tokio::test]
async fn a_refused_connection_was_never_sent() {
    let free = Server::free_address().await;
    let error = transport(free)
        .send(request(Method::POST, free))
        .await
        .unwrap_err();
    assert_eq!(error.sent(), Sent::Never, "{error}");
    assert!(
        !error.to_string().contains("droplets"),
        "the address is not told: {error}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_was_perhaps_sent_and_is_not_repeated() {
    for reply in [
        Reply::Close,
        Reply::Part("HTTP/1.1 202 Acc"),
        Reply::Part("HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\n{\"droplet\":"),
    ] {
        let told = format!("{reply:?}");
        let server = Server::start([reply]).await;
        let error = transport(server.address())
            .send(request(Method::POST, server.address()))
            .await;
        assert_eq!(error.unwrap_err().sent(), Sent::Perhaps, "{told}");
        assert_eq!(server.requests(), 1, "{told}");
    }
}

#[tokio::test]
async fn nor_is_it_repeated_on_a_connection_that_was_used_before() {
    let server = Server::start([Reply::Answer(200, "{}".to_owned()), Reply::Close]).await;
    let transport = transport(server.address());
    transport
        .send(request(Method::GET, server.address()))
        .await
        .unwrap();
    let error = transport
        .send(request(Method::POST, server.address()))
        .await
        .unwrap_err();
    assert_eq!(error.sent(), Sent::Perhaps, "{error}");
    assert_eq!(server.requests(), 2);
    assert_eq!(
        server.connections(),
        1,
        "both went over the same connection"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let other = Server::start([Reply::Answer(200, "{}".to_owned())]).await;
    let server = Server::start([Reply::Redirect(other.address())]).await;
    let result = client(server.address()).account().get().await;
    assert!(
        matches!(&result, Err(Error::Retryable(failure)) if failure.reason == Reason::Gateway),
        "{result:?}"
    );
    assert_eq!((server.requests(), other.requests()), (1, 0));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start([Reply::Endless]).await;
    let send = transport(server.address())
        .send(request(Method::GET, server.address()))
        .await;
    let error = send.unwrap_err();
    assert_eq!(error.sent(), Sent::Perhaps);
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_this_machine_does_not_trust_is_not_taken() {
    let server = tls::SelfSigned::start().await;
    let base = format!("https://localhost:{}", server.address().port());
    let transport = HttpsTransport::new(&Endpoint::parse(&base).unwrap()).unwrap();
    let request = Request::builder()
        .uri(format!("{base}/v2/account"))
        .body(Bytes::new())
        .unwrap();
    let error = transport.send(request).await.unwrap_err();
    assert_eq!(error.sent(), Sent::Never, "{error}");
    assert!(
        error.to_string().to_lowercase().contains("certificate"),
        "{error}"
    );
    assert_eq!(
        server.handshakes(),
        (1, 0),
        "one was begun, none came about"
    );
}

#[tokio::test]
async fn the_token_goes_to_the_server_and_into_no_log() {
    let logs = server::Logs::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(logs.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let refusal = format!("{{\"id\":\"unauthorized\",\"message\":\"bad token {TOKEN}\"}}");
    let server = Server::start([
        Reply::Answer(502, format!("<html>{TOKEN}</html>")),
        Reply::Answer(500, refusal),
        Reply::Answer(202, "{\"droplet\":".to_owned()),
    ])
    .await;
    let client = client(server.address());
    let read = client.account().get().await;
    let created = client.droplets().create(&wish()).await;
    let told = format!("{read:?} {created:?} {client:?}");
    assert!(!told.contains("canary"), "{told}");
    assert!(
        server
            .text()
            .contains(&format!("authorization: Bearer {TOKEN}"))
    );
    let logs = logs.text();
    assert!(
        logs.contains("asking DigitalOcean again"),
        "there are logs: {logs}"
    );
    assert!(!logs.contains("canary"), "{logs}");
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_one_request_and_ambiguous() {
    let server = Server::start([Reply::Close]).await;
    let result = client(server.address()).droplets().create(&wish()).await;
    assert!(matches!(result, Err(Error::Ambiguous(_))), "{result:?}");
    assert_eq!(server.requests(), 1);
}
