//! HTTP/2, for commands, heartbeats and streams that stay open: one connection for all of them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;

use agentopia_http1::server::Closing;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt as _};

use super::{Peer, from};

/// Answers what comes on a connection until one side closes it; `closing` says when we do.
pub(super) async fn serve<S>(
    stream: TlsStream<TcpStream>,
    peer: Peer,
    service: S,
    closing: Closing,
) -> Result<(), String>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let service =
        service.map_request(move |request: Request<Incoming>| from(&peer, request.map(Body::new)));
    let connection = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let mut is_told = false;
    poll_fn(|cx| {
        if !is_told && closing.poll_closing(cx).is_ready() {
            is_told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await
    .map_err(|error| error.to_string())
}
