//! The HTTPS API (DTMA-1): what the control plane asks of this machine, see
//! [`agentopia_dtma_api::to_dtma`].
//!
//! Three things stand before every handler, in this order: the TLS layer lets in only the control
//! plane's certificate, [`guard`] wants the control plane's bearer token for this machine too and
//! refuses everything but `GET /v1/info` on a locked machine, and every body is bounded. One file
//! an operation; `front.rs` says what needs no router.

mod front;
mod guard;
mod info;
mod instances;
mod logs;
mod problem;
mod put;
mod validate;
mod watch;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
pub use front::Front;

use crate::facts::FactsSource;
use crate::mcp::DataPath;
use crate::reconciler::Reconciler;

/// The largest body of a command. A spec is a few KiB; the MCP path has limits of its own.
const MOST_BYTES: usize = 1 << 20;

/// What handlers need.
#[derive(Debug, Clone)]
pub struct Api {
    /// Takes specs and knows what is observed.
    pub reconciler: Arc<Reconciler>,
    /// What this machine is.
    pub facts: Arc<FactsSource>,
}

/// All that the DTMA answers, the MCP data path included.
pub fn front(api: Api, data_path: &Arc<DataPath>) -> Front {
    let commands = Router::new()
        .route("/v1/info", get(info::handle))
        .route("/v1/instances", get(instances::list))
        .route("/v1/instances/{id}", get(instances::get).put(put::handle))
        .route("/v1/instances/{id}/watch", get(watch::handle))
        .route("/v1/instances/{id}/logs", get(logs::handle))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(api.clone());
    let router = commands
        .merge(data_path.router())
        .fallback(problem::no_such_route)
        .layer(middleware::from_fn_with_state(api.clone(), guard::check));
    Front::new(api, Arc::clone(data_path), router)
}
