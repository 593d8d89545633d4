//! The HTTP server of the control plane: the public API, and the layers around everything that is
//! served on the public address.
//!
//! [`router`] puts it together. One file an operation: `http/v1/<noun>/<verb>.rs` has the handler,
//! its document and its tests. The MCP endpoints are not here: the gateway answers them before any of
//! these layers (`serve/public.rs`).

pub mod cursor;
pub mod extract;
pub mod layers;
pub mod live;
mod oauth;
mod ui;
pub mod v1;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::authenticate::authenticate;
use crate::state::AppState;

/// Everything that is served on the public address, but for the MCP endpoints.
pub fn router(state: AppState) -> Router {
    let (api, _) = v1::routes().split_for_parts();
    // The authorization server's addresses are anybody's, and say themselves who may do what.
    let api = api
        .route_layer(from_fn_with_state(state.clone(), authenticate))
        .merge(oauth::routes())
        .route_layer(from_fn_with_state(
            state.clone(),
            layers::deadline::deadline,
        ))
        .layer(DefaultBodyLimit::max(state.config.body_limit_bytes))
        .with_state(state.clone());
    api.fallback(ui::fallback)
        .layer(CatchPanicLayer::custom(layers::problems::from_panic))
        .layer(from_fn_with_state(state.clone(), layers::security::gate))
        .layer(from_fn_with_state(state.clone(), layers::security::headers))
        .layer(from_fn(layers::problems::problems))
        .layer(from_fn_with_state(state, layers::context::context))
}
