//! What machines ask of the control plane: `/api/dtma/v1`, on a listener of its own
//! (`docs/decisions/0002`). The contract is `agentopia_dtma_api::to_control_plane`.

mod bootstrap;
mod caller;
mod download;
mod enrol;
mod heartbeat;
mod own_secrets;
mod refusal;
mod renew;
mod secrets;
mod update;

use std::sync::Arc;

use agentopia_domain::Ambient;
use agentopia_dtma_api::to_control_plane::path;
use agentopia_store::Store;
use agentopia_vault::Vault;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tower_http::timeout::TimeoutLayer;

pub use download::Downloads;

use super::Authority;
use super::credentials::Issuer;
use crate::reconcilers::Bells;

/// A day of samples, taken every ten seconds, with some fifty instances each.
const BODY_LIMIT: usize = 8 << 20;
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// What the handlers use.
#[derive(Debug, Clone)]
pub struct ListenerState {
    /// Where everything is kept.
    pub store: Store,
    /// Opens secrets.
    pub vault: Arc<dyn Vault>,
    /// Signs certificates.
    pub authority: Arc<Authority>,
    /// Time and randomness.
    pub ambient: Ambient,
    /// Rung when a machine has news.
    pub bells: Bells,
    /// What machines download; none where they have it from elsewhere.
    pub downloads: Option<Downloads>,
    /// The DTMA that machines are to run; none where the operator wants no updates.
    pub offer: Option<Downloads>,
}

impl ListenerState {
    fn issuer(&self) -> Issuer<'_> {
        Issuer {
            store: &self.store,
            vault: &*self.vault,
            authority: &self.authority,
            ambient: &self.ambient,
        }
    }
}

/// The router to serve with `agentopia_pki::listener`.
pub fn router(state: ListenerState) -> Router {
    let bounded = post(bootstrap::bootstrap).layer(DefaultBodyLimit::max(bootstrap::BODY_LIMIT));
    Router::new()
        .route(path::BOOTSTRAP, bounded)
        .route(&path::download("{program}"), get(download::download))
        .route(path::ENROL, post(enrol::enrol))
        .route(path::RENEW, post(renew::renew))
        .route(path::HEARTBEAT, post(heartbeat::heartbeat))
        .route(
            "/api/dtma/v1/instances/{id}/secrets",
            post(secrets::secrets),
        )
        .route(path::OWN_SECRETS, post(own_secrets::fetch))
        .route(path::OWN_SECRETS_IN_USE, post(own_secrets::over))
        .fallback(refusal::unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
        .with_state(state)
}
