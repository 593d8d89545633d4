//! Streamable HTTP at `/mcp`, both eras on one URL: the SDK tells them apart.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::server::{Reference, Shared};

/// Serves until the process is asked to end.
///
/// Requests with another `Host` than the `allowed_hosts` are refused: it keeps web pages that a
/// browser shows on this machine from talking to the server (DNS rebinding).
///
/// # Errors
///
/// The address can't be listened at.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    address: SocketAddr,
    allowed_hosts: Vec<String>,
) -> anyhow::Result<()> {
    let config = StreamableHttpServerConfig::default().with_allowed_hosts(allowed_hosts);
    let ended = config.cancellation_token.clone();
    // Called for every session, and for every request outside of one.
    let server = move || Ok(Reference::new(Arc::clone(&shared)));
    let service = StreamableHttpService::new(server, Arc::<LocalSessionManager>::default(), config);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen at {address}"))?;
    tracing::info!("ready at http://{}/mcp", listener.local_addr()?);

    // As the first process of a container nothing would end us by default.
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Streams are open for as long as clients like: end them, or serving would never.
        ended.cancel();
    };
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service))
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
