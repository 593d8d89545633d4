//! `GET /health`: the process answers, and which installation it is of. Asks nobody else, so that a database that is away does not
//! get the process killed by its supervisor.

use agentopia_api::health::Health;
use axum::Json;
use axum::extract::State;

use crate::state::AppState;

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "health",
    responses((status = 200, description = "It does", body = Health)),
)]
pub(super) async fn handler(State(state): State<AppState>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        installation: state.inspect.installation(),
    })
}
