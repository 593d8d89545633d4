//! Sockets: the API over HTTP/1 and HTTP/2, where answers can get lost.
//!
//! [`AnswerLost::Closed`] ends the connection without a byte of an answer; [`AnswerLost::Silent`] holds
//! it open until the client has enough.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::faults::AnswerLost;

/// An answer that is not sent. To hyper an error of the service: it closes the connection.
#[derive(Debug)]
struct NotSent;

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is lost on purpose")
    }
}

impl std::error::Error for NotSent {}

/// Serves `router` until this future is dropped, and every connection with it.
///
/// # Errors
/// When the listener does not accept connections any more.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<Infallible> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve_connection(stream, peer, router.clone()));
                }
                // The client has hung up again.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, router: Router) {
    // Without it a small answer can wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let Ok(answer) = router.oneshot(request.map(Body::new)).await;
            deliver(answer).await
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%peer, error, "connection ended");
    }
}

async fn deliver(answer: Response) -> Result<Response, NotSent> {
    match answer.extensions().get::<AnswerLost>() {
        None => Ok(answer),
        Some(AnswerLost::Closed) => Err(NotSent),
        Some(AnswerLost::Silent) => std::future::pending().await,
    }
}
