//! An HTTPS listener that tells each request who is on the other end.
//!
//! By ALPN: HTTP/1.1, in which MCP calls come, is ours (`agentopia-http1`); HTTP/2, in which everything else comes
//! ([`http2`]), is hyper's. The TLS configuration can be replaced while it runs, so that certificates
//! are renewed without a gap. On shutdown open connections finish their requests; a connection
//! that does not within the grace period is dropped.

mod http2;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_http1::server::{self, Closing, Connections, Settings};
use axum::body::Body;
use http::{Request, Response};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt as _};

use crate::PeerCertificate;

/// Who sent a request; a request extension.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address it came from.
    pub address: SocketAddr,
    /// Its certificate, already verified; `None` where none was shown.
    pub certificate: Option<Arc<PeerCertificate>>,
}

/// How long a TLS handshake may take; without a limit idle connections would pile up.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long requests under way may take to end after a shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// A pause after `accept` failed (for example: no file descriptors left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Of HTTP/1.1. Clients of ours let a connection rest for 30 s: they are the first to close it.
const PATIENCE: Settings = Settings {
    head: Duration::from_secs(75),
    write: Duration::from_secs(75),
};
/// What ALPN calls HTTP/2.
const HTTP2: &[u8] = b"h2";

/// All connections. They end with whoever serves them, also where that is not by a shutdown.
#[derive(Debug, Default)]
struct Open(Connections);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.begin_closing();
    }
}

/// Serves requests with `service`, a router as a rule, until `shutdown` completes.
pub async fn serve<S>(
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    service: S,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let open = Open::default();
    tokio::pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&config.borrow()));
        let (service, closing) = (service.clone(), open.0.open());
        tokio::spawn(async move {
            if let Err(reason) = connection(stream, address, acceptor, service, closing).await {
                tracing::debug!(%address, reason, "a connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, open.0.close())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open at the end of the shutdown grace period");
    }
}

async fn connection<S>(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
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
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    // Boxed: what a handshake keeps is large, and not needed afterwards.
    let accepting = Box::pin(acceptor.accept(stream));
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, accepting)
        .await
        .map_err(|_| "the TLS handshake took too long".to_owned())?
        .map_err(|error| format!("the TLS handshake failed: {error}"))?;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| PeerCertificate::parse(certificate).map(Arc::new))
        .transpose()
        .map_err(|error| error.to_string())?;
    let peer = Peer {
        address,
        certificate,
    };
    if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
        // Larger than all that version 1.1 needs.
        return Box::pin(http2::serve(stream, peer, service, closing)).await;
    }
    let answer = |request: Request<server::Body<TlsStream<TcpStream>>>| {
        let request = from(&peer, request.map(Body::new));
        let answering = service.clone().oneshot(request);
        async {
            let Ok(response) = answering.await;
            response
        }
    };
    let serving = server::serve(stream, PATIENCE, closing, answer).await;
    serving.map_err(|error| error.to_string())
}

/// A request that says who sent it.
fn from(peer: &Peer, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(peer.clone());
    request
}
