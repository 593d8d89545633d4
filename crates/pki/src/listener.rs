//! An HTTPS listener that tells each request who is on the other end.
//!
//! HTTP/1.1 and HTTP/2. The TLS configuration can be replaced while it runs, so that certificates
//! are renewed without a gap. On shutdown open connections finish their requests; a connection
//! that does not within the grace period is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::PeerCertificate;

/// Who sent a request; a request extension.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address it came from.
    pub address: SocketAddr,
    /// Its certificate, already verified; `None` where none was shown.
    pub certificate: Option<PeerCertificate>,
}

/// How long a TLS handshake may take; without a limit idle connections would pile up.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long requests under way may take to end after a shutdown began.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// A pause after `accept` failed (for example: no file descriptors left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let graceful = GracefulShutdown::new();
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
        let watcher = graceful.watcher();
        let router = router.clone();
        tokio::spawn(async move {
            if let Err(reason) = connection(stream, address, acceptor, router, watcher).await {
                tracing::debug!(%address, reason, "a connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open at the end of the shutdown grace period");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), String> {
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream))
        .await
        .map_err(|_| "the TLS handshake took too long".to_owned())?
        .map_err(|error| format!("the TLS handshake failed: {error}"))?;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| PeerCertificate::parse(certificate))
        .transpose()
        .map_err(|error| error.to_string())?;
    let peer = Peer {
        address,
        certificate,
    };
    let service = router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        request
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    watcher
        .watch(connection)
        .await
        .map_err(|error| error.to_string())
}
