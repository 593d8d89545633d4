//! The front door: accepts connections and speaks HTTP on them, version 1.1 or 2, whichever the client
//! begins with.
//!
//! Every call passes here, so nothing stands between a connection and [`crate::Gateway::handle`] that is
//! not needed: no router, no layers, no boxes. Whoever takes longer than [`HEAD_PATIENCE`] for the head of a
//! request is let go of; how long a body may take is decided where it is read.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// For the head of a request, and for the next request on a connection that is kept open.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// Between two questions whether a silent HTTP/2 client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Until the next try where the kernel has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers requests until `shutdown`, and then until those under way are answered. `answer` gets each
/// request with the address of whoever sent it.
pub async fn serve<S, F>(listener: TcpListener, answer: S, shutdown: CancellationToken)
where
    S: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let builder = builder();
    let open = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = shutdown.cancelled() => break,
        };
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answering = answer(request, peer);
            async { Ok::<_, Infallible>(answering.await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, error, "a connection ended");
            }
        });
    }
    drop(listener);
    open.shutdown().await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL);
    builder
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Small answers must not wait for more to come.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
