//! Documents and streams: limits in size and time, and who learns that nobody listens.

use std::time::Duration;

use agentopia_remote::RemoteError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::rig::{Server, client, url};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn documents_have_a_size_whatever_the_server_says_of_it() {
    let server = Server::answering(|| Response::new(Body::from("x".repeat(1001)))).await;
    let client = client(&["127.0.0.1/32"]);
    let url = server.url("/");
    let error = client.get_bytes(&url, 1000, SOON).await.unwrap_err();
    assert!(matches!(error, RemoteError::TooLarge(1000)), "{error:?}");
    assert_eq!(
        client
            .get_bytes(&url, 1001, SOON)
            .await
            .unwrap()
            .body()
            .len(),
        1001
    );
}

#[tokio::test]
async fn only_a_good_answer_is_a_document() {
    let server = Server::answering(|| {
        let answer = Response::builder().status(404);
        answer.body(Body::from("no")).unwrap()
    })
    .await;
    let client = client(&["127.0.0.1/32"]);
    let error = client
        .get_bytes(&server.url("/"), 10, SOON)
        .await
        .unwrap_err();
    assert!(matches!(error, RemoteError::Status(StatusCode::NOT_FOUND)));
}

/// Accepts one connection, reads the request's head, writes `answer`, and then what `then` says.
async fn raw(answer: &'static [u8], drip: Option<&'static [u8]>) -> agentopia_remote::RemoteUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _read = stream.read(&mut head).await.unwrap();
        let mut going = stream.write_all(answer).await.is_ok();
        while let (true, Some(drip)) = (going, drip) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            going = stream.write_all(drip).await.is_ok();
        }
    });
    url(&format!("http://{at}/"))
}

#[tokio::test]
async fn a_server_that_drips_is_given_up() {
    let client = client(&["127.0.0.1/32"]);
    let url = raw(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        Some(b"1\r\nx\r\n"),
    )
    .await;
    let limit = Duration::from_millis(300);
    let error = client.get_bytes(&url, 1 << 20, limit).await.unwrap_err();
    assert!(matches!(error, RemoteError::TimedOut), "{error:?}");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let client = client(&["127.0.0.1/32"]);
    let line = vec![b'a'; 16 << 10].leak();
    let url = raw(b"HTTP/1.1 200 OK\r\n", Some(line)).await;
    let error = client.get_bytes(&url, 1000, SOON).await.unwrap_err();
    assert!(matches!(error, RemoteError::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn what_breaks_off_is_told_apart_from_what_was_never_sent() {
    let client = client(&["127.0.0.1/32"]);
    let cut = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", None).await;
    let error = client.get_bytes(&cut, 100, SOON).await.unwrap_err();
    assert!(matches!(error, RemoteError::Broken { .. }), "{error:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = url(&format!("http://{}/", listener.local_addr().unwrap()));
    drop(listener);
    let error = client.get_bytes(&closed, 100, SOON).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn bodies_stream_and_headers_go_along() {
    let server = Server::answering(|| Response::new(Body::from("data: 1\n\n"))).await;
    let client = client(&["127.0.0.1/32"]);
    let request = Request::post("/").header("authorization", "Bearer x");
    let request = request.body(Bytes::from_static(b"{}")).unwrap();
    let answer = client.send(&server.url("/mcp"), request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "data: 1\n\n");
    let seen = server.seen.lock().pop().unwrap();
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.headers["authorization"], "Bearer x");
    assert!(
        seen.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("agentopia/")
    );
}
