//! `GET /ready`: whether requests can be served, and if not, what is missing.

use agentopia_api::health::{Dependency, Readiness};
use axum::Json;
use http::StatusCode;

use crate::http::extract::PublicCall;

/// Whether requests can be served: the database answers and has its tables.
#[utoipa::path(
    get,
    path = "/ready",
    operation_id = "ready",
    tag = "health",
    responses(
        (status = 200, description = "They can", body = Readiness),
        (status = 503, description = "They can't; the dependencies say why", body = Readiness),
    ),
)]
pub(super) async fn handler(call: PublicCall) -> (StatusCode, Json<Readiness>) {
    // The ping reads a table, so it also fails while migrations are not done.
    let database = match call.state.store.ping().await {
        Ok(()) => Dependency {
            name: "database".to_owned(),
            ready: true,
            detail: None,
        },
        Err(error) => {
            tracing::warn!(%error, "the database is not ready");
            Dependency {
                name: "database".to_owned(),
                ready: false,
                detail: Some(format!("{}: {error}", call.state.store.engine())),
            }
        }
    };
    let ready = database.ready;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let dependencies = vec![database];
    (
        status,
        Json(Readiness {
            ready,
            dependencies,
        }),
    )
}
