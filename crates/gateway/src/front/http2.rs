//! HTTP/2 without TLS, for clients and proxies that begin with it (RFC 9113, section 3.3).

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;

use agentopia_http1::server::Closing;
use axum::body::Body;
use http::{Request, Response};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::RequestBody;

/// Between two questions whether a silent client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What such a connection begins with, as far as no request of version 1.1 can: there is no method `PRI`.
const BEGINNING: &[u8; 4] = b"PRI ";

/// Whether the client begins with version 2. Says no where the connection is to close: the other version does that.
///
/// # Errors
/// Where nothing comes for so long.
pub(super) async fn is_spoken(
    stream: &TcpStream,
    patience: Duration,
    closing: &Closing,
) -> io::Result<bool> {
    let mut first = [0; BEGINNING.len()];
    let read = tokio::select! {
        peeked = tokio::time::timeout(patience, stream.peek(&mut first)) => {
            peeked.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
        }
        () = poll_fn(|cx| closing.poll_closing(cx)) => 0,
    };
    Ok(read == BEGINNING.len() && first == *BEGINNING)
}

pub(super) async fn serve<S, F>(
    stream: TcpStream,
    answer: S,
    closing: Closing,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL);
    let service = service_fn(move |request: Request<_>| {
        let answering = answer(request.map(RequestBody::Two));
        async { Ok::<_, Infallible>(answering.await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut is_told = false;
    poll_fn(|cx| {
        if !is_told && closing.poll_closing(cx).is_ready() {
            is_told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await?;
    Ok(())
}
