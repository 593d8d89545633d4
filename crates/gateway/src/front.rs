//! The front door: accepts connections and speaks HTTP on them, version 1.1 or 2, whichever the client
//! begins with.
//!
//! Every call passes here, so nothing stands between a connection and [`crate::Gateway::handle`] that is
//! not needed: no router, no layers. Version 1.1, in which nearly all clients come and proxies pass them on, is
//! ours ([`agentopia_http1::server`]); version 2 is hyper's. Whoever takes longer than [`HEAD_PATIENCE`] for the head of a
//! request, or [`WRITE_PATIENCE`] without taking anything of an answer, is let go of; how long a body may take is decided
//! where it is read.

mod body;
mod http2;

use std::net::SocketAddr;
use std::time::Duration;

use agentopia_http1::server::{self, Closing, Connections, Settings};
use axum::body::Body;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use body::RequestBody;

/// For the head of a request, and for the next request on a connection that is kept open.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// To take anything of an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(75);
/// Until the next try where the kernel has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers requests until `shutdown`, and then until those under way are answered. `answer` gets each
/// request with the address of whoever sent it.
pub async fn serve<S, F>(listener: TcpListener, answer: S, shutdown: CancellationToken)
where
    S: Fn(Request<RequestBody>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let open = Connections::default();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = shutdown.cancelled() => break,
        };
        let (answer, closing) = (answer.clone(), open.open());
        tokio::spawn(async move {
            let answer = move |request| answer(request, peer);
            if let Err(error) = connection(stream, answer, closing).await {
                tracing::debug!(%peer, error, "a connection ended");
            }
        });
    }
    drop(listener);
    open.close().await;
}

async fn connection<S, F>(
    stream: TcpStream,
    answer: S,
    closing: Closing,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    if http2::is_spoken(&stream, HEAD_PATIENCE, &closing).await? {
        // Rare, and larger than all that version 1.1 needs.
        return Box::pin(http2::serve(stream, answer, closing)).await;
    }
    let settings = Settings {
        head: HEAD_PATIENCE,
        write: WRITE_PATIENCE,
    };
    let answer = |request: Request<server::Body<TcpStream>>| answer(request.map(RequestBody::One));
    Ok(server::serve(stream, settings, closing, answer).await?)
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
