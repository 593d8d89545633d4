//! The public listener: MCP endpoints, by the gateway itself, and everything else: API, UI.

use std::net::SocketAddr;
use std::sync::Arc;

use agentopia_gateway::{Gateway, front};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::parts::Parts;
use crate::reconcilers::routes::RoutesBell;

/// How long requests under way may take to end after a shutdown began.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) async fn serve(listener: TcpListener, parts: &Parts, shutdown: CancellationToken) {
    let served = Arc::new(Served {
        gateway: parts.gateway.clone(),
        routes: parts.routes.clone(),
        rest: crate::http::router(parts.state.clone()),
    });
    let answer = move |request, peer| Arc::clone(&served).answer(request, peer);
    let ended = front::serve(listener, answer, shutdown.clone());
    tokio::select! {
        () = ended => {}
        () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests were still under way at the end of the grace period");
        }
    }
}

struct Served {
    gateway: Gateway,
    routes: RoutesBell,
    /// All but MCP.
    rest: Router,
}

impl Served {
    async fn answer(
        self: Arc<Self>,
        mut request: Request<front::RequestBody>,
        peer: SocketAddr,
    ) -> Response<Body> {
        if Gateway::takes(request.uri().path()) {
            // Whoever makes a link and calls at once is served by the table that has it.
            self.routes.settled().await;
            return self.gateway.handle(request).await;
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        // Much larger than what a call needs, and every connection has room for the larger one.
        let answering = Box::pin(self.rest.clone().oneshot(request.map(Body::new)));
        answering.await.unwrap_or_else(|never| match never {})
    }
}
