//! The public listener: API, MCP endpoints, UI.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::reconcilers::routes::RoutesBell;

/// How long requests under way may take to end after a shutdown began.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) async fn serve(
    listener: TcpListener,
    parts: &Parts,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // Whoever makes a link and calls at once is served by the table that has it.
    let mcp = parts
        .gateway
        .router()
        .layer(from_fn_with_state(parts.routes.clone(), settle));
    let router = crate::http::router(parts.state.clone(), mcp);
    // Small answers must not wait for more to come.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let ended =
        axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        ended = ended => Ok(ended?),
        () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests were still under way at the end of the grace period");
            Ok(())
        }
    }
}

async fn settle(State(routes): State<RoutesBell>, request: Request, next: Next) -> Response {
    routes.settled().await;
    next.run(request).await
}
