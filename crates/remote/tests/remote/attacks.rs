//! What is tried to make a server call its own network.

use std::sync::Arc;
use std::time::Duration;

use agentopia_remote::{Network, RemoteClient, RemoteError, Why};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};

use crate::rig::{Names, Server, client, policy, url};

fn fine() -> Response {
    Response::new(Body::from("fine"))
}

fn why(error: &RemoteError) -> Why {
    match error {
        RemoteError::Refused(refusal) => refusal.why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_spelling_of_an_inner_address_is_refused_before_anything_is_connected() {
    let server = Server::answering(fine).await;
    let port = server.address.port();
    let client = client(&[]);
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "0",
        "[::]",
        "localhost",
        "LOCALHOST",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "100.64.0.1",
    ] {
        for scheme in ["http", "https"] {
            let url = url(&format!("{scheme}://{host}:{port}/"));
            let error = client.send(&url, Request::default()).await.unwrap_err();
            assert!(matches!(why(&error), Why::Network(_)), "{url} {error:?}");
            let error = client.check(&url).await.unwrap_err();
            assert!(matches!(why(&error), Why::Network(_)), "{url} {error:?}");
        }
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn what_the_operator_allowed_is_called_at_that_very_address() {
    let server = Server::answering(fine).await;
    let client = client(&["127.0.0.1/32"]);
    let answer = client
        .get_bytes(&server.url("/a?b=c"), 100, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(answer.body(), "fine");
    let seen = server.seen.lock().pop().unwrap();
    assert_eq!(seen.uri, "/a?b=c");
    assert_eq!(seen.headers["host"], server.address.to_string());

    let other = Server::at("127.0.0.2", fine).await;
    let error = client.check(&other.url("/")).await.unwrap_err();
    assert_eq!(why(&error), Why::Network(Network::Loopback));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_and_its_address_is_not_told() {
    let server = Server::answering(fine).await;
    let names = Names::answering(&[&["127.0.0.1"]]);
    let client = RemoteClient::with_resolver(policy(&[]), Arc::new(names));
    let url = url(&format!("http://tools.example:{}/", server.address.port()));
    let error = client.send(&url, Request::default()).await.unwrap_err();
    assert_eq!(why(&error), Why::Network(Network::Loopback));
    assert!(!error.to_string().contains("127."), "{error}");
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn one_bad_address_of_a_name_refuses_them_all() {
    let names = Names::answering(&[&["127.0.0.1", "10.0.0.1"]]);
    let client = RemoteClient::with_resolver(policy(&["127.0.0.1/32"]), Arc::new(names));
    let error = client
        .check(&url("https://tools.example/"))
        .await
        .unwrap_err();
    assert_eq!(why(&error), Why::Network(Network::Private));
}

#[tokio::test]
async fn a_name_that_changes_after_the_check_is_judged_again_and_asked_once_a_connection() {
    let inner = Server::at("127.0.0.2", fine).await;
    let names = Names::answering(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let asked = Arc::clone(&names.asked);
    let client = RemoteClient::with_resolver(policy(&["127.0.0.1/32"]), Arc::new(names));
    let url = url(&format!("http://tools.example:{}/", inner.address.port()));
    client.check(&url).await.unwrap();
    let error = client.send(&url, Request::default()).await.unwrap_err();
    assert_eq!(why(&error), Why::Network(Network::Loopback));
    assert_eq!((inner.asked(), *asked.lock()), (0, 2));
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_called() {
    let outer = Server::answering(fine).await;
    // Whoever asked twice would get the second answer for the connection.
    let names = Names::answering(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let asked = Arc::clone(&names.asked);
    let client = RemoteClient::with_resolver(policy(&["127.0.0.1/32"]), Arc::new(names));
    let url = url(&format!("http://tools.example:{}/", outer.address.port()));
    let answer = client.send(&url, Request::default()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!((outer.asked(), *asked.lock()), (1, 1));
    let host = outer.seen.lock()[0].headers["host"].clone();
    assert_eq!(host, format!("tools.example:{}", outer.address.port()));
}

#[tokio::test]
async fn redirects_are_told_and_never_followed() {
    let inner = Server::at("127.0.0.2", fine).await;
    let aim = inner.url("/latest/meta-data/").to_string();
    let server = Server::answering(move || {
        let answer = Response::builder().status(302).header("location", &aim);
        answer.body(Body::empty()).unwrap()
    })
    .await;
    let client = client(&["127.0.0.0/8"]);
    let answer = client
        .send(&server.url("/"), Request::default())
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let error = client
        .get_bytes(&server.url("/"), 100, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("redirects are not followed"),
        "{error}"
    );
    assert_eq!(inner.asked(), 0);
}

#[tokio::test]
async fn a_caller_can_not_name_another_host_than_the_one_that_was_judged() {
    let server = Server::answering(fine).await;
    let client = client(&["127.0.0.1/32"]);
    let request = Request::builder()
        .uri("http://169.254.169.254/latest")
        .header("host", "169.254.169.254")
        .body(Bytes::new())
        .unwrap();
    client.send(&server.url("/mine"), request).await.unwrap();
    let seen = server.seen.lock().pop().unwrap();
    assert_eq!(seen.uri, "/mine");
    assert_eq!(seen.headers["host"], server.address.to_string());
}

#[tokio::test]
async fn the_internet_by_plain_http_is_refused_without_a_connection() {
    let names = Names::answering(&[&["1.1.1.1"]]);
    let client = RemoteClient::with_resolver(policy(&[]), Arc::new(names));
    let error = client
        .check(&url("http://tools.example/"))
        .await
        .unwrap_err();
    assert_eq!(why(&error), Why::PlainHttp);
    client.check(&url("https://tools.example/")).await.unwrap();
}
