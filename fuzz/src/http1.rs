//! What a peer says by HTTP/1.1, to our server and to our client: the same however it is cut into chunks; no
//! answer without a request, and nothing handed on beyond what was said.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use agentopia_http1::server::{self, Connections};
use agentopia_http1::{Client, Connect, Settings};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use crate::chunks::Cut;

const PATIENCE: server::Settings = server::Settings {
    head: Duration::from_secs(1),
    write: Duration::from_secs(1),
};
const KEPT: Settings = Settings {
    idle: Duration::from_secs(1),
    most_idle: 1,
};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
}

/// See the module's header.
pub fn http1(data: &[u8]) {
    let cut = Cut::of(data);
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let at_once = served(Wire::of([cut.whole])).await;
            assert_eq!(
                at_once,
                served(Wire::of(cut.chunks())).await,
                "chunks make no difference"
            );
            assert!(
                at_once.bodies <= cut.whole.len(),
                "more came out than went in"
            );
            let at_once = asked(Wire::of([cut.whole])).await;
            assert_eq!(
                at_once,
                asked(Wire::of(cut.chunks())).await,
                "chunks make no difference"
            );
        });
    });
}

/// What came of a connection to our server.
#[derive(Debug, PartialEq, Eq)]
struct Served {
    /// Method, address, headers and body of each request; the body as far as it came.
    requests: Vec<String>,
    bodies: usize,
    is_good: bool,
}

async fn served(wire: Wire) -> Served {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let bodies = Rc::new(RefCell::new(0));
    let answer = |request: Request<server::Body<Wire>>| {
        let (requests, bodies) = (requests.clone(), bodies.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes());
            *bodies.borrow_mut() += body.as_ref().map_or(0, Bytes::len);
            let (method, uri, headers) = (head.method, head.uri, head.headers);
            let body = body.map_err(|_| ());
            requests
                .borrow_mut()
                .push(format!("{method} {uri} {headers:?} {body:?}"));
            let said = Full::new(Bytes::from_static(b"yes"));
            Response::new(
                said.map_err(|never: Infallible| match never {})
                    .boxed_unsync(),
            )
        }
    };
    let closing = Connections::default().open();
    let ended = server::serve(wire.clone(), PATIENCE, closing, answer).await;
    let written = wire.0.lock().written.clone();
    let answers = memchr::memmem::find_iter(&written, b"HTTP/1.1 200 OK\r\n").count();
    let requests = requests.take();
    assert!(answers <= requests.len(), "an answer without a request");
    Served {
        requests,
        bodies: bodies.take(),
        is_good: ended.is_ok(),
    }
}

/// What our client made of an answer: status, headers, and the body if it came to its end.
async fn asked(wire: Wire) -> Option<(String, Option<Bytes>)> {
    let client = Client::new(Once(wire), KEPT);
    let request = Request::post("/").body(Full::new(Bytes::from_static(b"question")));
    let answer = client.send(&(), request.unwrap()).await.ok()?;
    let (head, body) = answer.into_parts();
    let head = format!("{} {:?}", head.status, head.headers);
    let body = body.collect().await.ok().map(|body| body.to_bytes());
    Some((head, body))
}

/// A connection whose other side says what it says, whatever it is told, and closes.
#[derive(Debug, Clone)]
struct Wire(Arc<Mutex<Said>>);

#[derive(Debug)]
struct Said {
    chunks: VecDeque<Vec<u8>>,
    written: Vec<u8>,
}

impl Wire {
    fn of<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
        Self(Arc::new(Mutex::new(Said {
            chunks: chunks.map(<[u8]>::to_vec).collect(),
            written: Vec::new(),
        })))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut said = self.0.lock();
        if let Some(mut chunk) = said.chunks.pop_front() {
            let rest = chunk.split_off(chunk.len().min(buffer.remaining()));
            buffer.put_slice(&chunk);
            if !rest.is_empty() {
                said.chunks.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().written.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Gives the one connection.
#[derive(Debug)]
struct Once(Wire);

impl Connect for Once {
    type Target = ();
    type Io = Wire;

    async fn connect(&self, _target: &()) -> io::Result<Wire> {
        Ok(self.0.clone())
    }
}
