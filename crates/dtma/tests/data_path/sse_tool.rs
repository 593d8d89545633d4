//! Whether an HTTP+SSE server answers, asked as at every start. Whole sessions with such servers are
//! tested where they are bridged, and with the reference server in a container.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_dtma::health;
use agentopia_dtma::runtime::{ToolChannel, ToolHandle};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

type Streams = Arc<Mutex<Vec<mpsc::UnboundedSender<String>>>>;

/// A server that names `endpoint` and answers `initialize`, from `after` on.
async fn server(endpoint: &'static str, after: Duration) -> (SocketAddr, Streams) {
    let streams = Streams::default();
    let (opened, asked) = (Arc::clone(&streams), Arc::clone(&streams));
    let stream = move || {
        let (to, events) = mpsc::unbounded_channel();
        to.send(format!("event: endpoint\ndata: {endpoint}\n\n"))
            .unwrap();
        opened.lock().push(to);
        let events = UnboundedReceiverStream::new(events);
        let body = Body::from_stream(events.map(|it| Ok::<_, std::io::Error>(Bytes::from(it))));
        async move { ([("content-type", "text/event-stream")], body) }
    };
    let message = move |body: String| {
        let asked = Arc::clone(&asked);
        async move {
            let message: Value = serde_json::from_str(&body).unwrap();
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {
                "protocolVersion": "2024-11-05", "capabilities": {},
                "serverInfo": {"name": "old", "version": "7"}}});
            let streams = asked.lock();
            let event = format!("event: message\ndata: {answer}\n\n");
            streams.last().unwrap().send(event).unwrap();
            StatusCode::ACCEPTED
        }
    };
    let router = Router::new()
        .route("/sse", get(stream))
        .route("/message", post(message));
    // The address is free until then, as of a server that is still coming up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        let listener = TcpListener::bind(address).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    (address, streams)
}

async fn probe(address: SocketAddr) -> Result<health::Health, health::HealthError> {
    let tool = ToolHandle {
        instance_id: Ambient::system().new_id(),
        epoch: 1,
        channel: ToolChannel::Sse {
            address,
            path: "/sse".to_owned(),
        },
    };
    health::probe(&tool, Duration::from_secs(10)).await
}

#[tokio::test]
async fn an_http_sse_server_is_waited_for_and_asked_in_a_session_that_ends() {
    let (address, streams) = server("/message?session=1", Duration::from_millis(300)).await;
    let health = probe(address).await.unwrap();
    assert_eq!(health.name.as_deref(), Some("old"));
    assert_eq!(health.version.as_deref(), Some("7"));
    let stream = streams.lock().pop().unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.closed());
    closed.await.expect("its stream was left open");
}

#[tokio::test]
async fn an_http_sse_server_that_names_another_ones_endpoint_is_not_healthy() {
    let foreign = "http://169.254.169.254/latest/meta-data";
    let (address, _streams) = server(foreign, Duration::ZERO).await;
    let error = probe(address).await.unwrap_err().explanation;
    assert!(error.contains("an endpoint that is not its own"), "{error}");
    assert!(error.contains(foreign), "{error}");
}
