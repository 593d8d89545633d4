//! A server whose every byte a test decides about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

type Chunk = Result<Bytes, std::io::Error>;

/// What was posted, and how it is to be answered.
type Posted = (Value, tokio::sync::oneshot::Sender<StatusCode>);

#[derive(Clone)]
struct Shared {
    first: Arc<str>,
    kind: &'static str,
    status: StatusCode,
    streams: Arc<Mutex<Vec<mpsc::UnboundedSender<Chunk>>>>,
    posted: mpsc::UnboundedSender<Posted>,
}

/// See the module's header.
pub(crate) struct Far {
    pub(crate) address: SocketAddr,
    streams: Arc<Mutex<Vec<mpsc::UnboundedSender<Chunk>>>>,
    posted: mpsc::UnboundedReceiver<Posted>,
}

impl Far {
    /// One that names its endpoint as it should.
    pub(crate) async fn start() -> Self {
        Self::saying("event: endpoint\ndata: /message?session=1\n\n").await
    }

    /// One that begins its streams with `first`.
    pub(crate) async fn saying(first: &str) -> Self {
        Self::with(first, "text/event-stream", StatusCode::OK).await
    }

    pub(crate) async fn with(first: &str, kind: &'static str, status: StatusCode) -> Self {
        let (posted_to, posted) = mpsc::unbounded_channel();
        let shared = Shared {
            first: first.into(),
            kind,
            status,
            streams: Arc::default(),
            posted: posted_to,
        };
        let streams = Arc::clone(&shared.streams);
        let router = Router::new()
            .route("/sse", get(stream))
            .route("/message", post(take))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            streams,
            posted,
        }
    }

    /// What is posted next; it is taken.
    pub(crate) async fn asked(&mut self) -> Value {
        let (message, answer) = self.held().await;
        answer.send(StatusCode::ACCEPTED).unwrap();
        message
    }

    /// The same, not answered yet.
    pub(crate) async fn held(&mut self) -> Posted {
        let waiting = tokio::time::timeout(Duration::from_secs(10), self.posted.recv());
        waiting.await.expect("nothing was posted").unwrap()
    }

    /// Whether nothing was posted so far.
    pub(crate) fn heard_nothing(&mut self) -> bool {
        self.posted.try_recv().is_err()
    }

    /// Says something on the newest stream.
    pub(crate) fn say(&self, message: &Value) {
        self.raw(&format!("event: message\ndata: {message}\n\n"));
    }

    pub(crate) fn raw(&self, text: &str) {
        let streams = self.streams.lock();
        let chunk = Bytes::copy_from_slice(text.as_bytes());
        // One that nobody reads any more is no failure here.
        let _ = streams.last().unwrap().send(Ok(chunk));
    }

    /// Breaks the newest stream off.
    pub(crate) fn cut(&self) {
        let stream = self.streams.lock().pop().unwrap();
        let _ = stream.send(Err(std::io::Error::other("cut")));
    }

    /// Ends the newest stream as it should be.
    pub(crate) fn end(&self) {
        self.streams.lock().pop();
    }

    /// How many streams somebody reads.
    pub(crate) fn open(&self) -> usize {
        let streams = self.streams.lock();
        streams.iter().filter(|stream| !stream.is_closed()).count()
    }

    /// Waits until the server sees so many streams.
    pub(crate) async fn streams_become(&self, count: usize) {
        for _ in 0..200 {
            if self.open() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} streams in place of {count}", self.open());
    }
}

async fn stream(State(shared): State<Shared>) -> Response {
    let (to, chunks) = mpsc::unbounded_channel();
    to.send(Ok(Bytes::copy_from_slice(shared.first.as_bytes())))
        .unwrap();
    if shared.kind == "text/event-stream" {
        shared.streams.lock().push(to);
    }
    let body = Body::from_stream(UnboundedReceiverStream::new(chunks));
    let mut response = (shared.status, body).into_response();
    let kind = axum::http::HeaderValue::from_static(shared.kind);
    response.headers_mut().insert("content-type", kind);
    response
}

async fn take(State(shared): State<Shared>, body: String) -> StatusCode {
    let (to, answer) = tokio::sync::oneshot::channel();
    let message = serde_json::from_str(&body).unwrap();
    shared.posted.send((message, to)).unwrap();
    answer.await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
