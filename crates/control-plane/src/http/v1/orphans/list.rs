//! `GET /api/v1/orphans`: what the last search found.

use agentopia_api::Problem;
use agentopia_api::orphan::{Orphan, Orphans};
use axum::Json;

use crate::http::extract::Call;
use crate::problem::Answer;
use crate::reconcilers::orphans::plan::SETTLE;

/// Things at the provider that carry this installation's mark and belong to no environment, as the
/// last search found them.
#[utoipa::path(
    get,
    path = "/api/v1/orphans",
    operation_id = "list_orphans",
    tag = "orphans",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "What was found", body = Orphans),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<Json<Orphans>> {
    let found = call.store().orphans().list().await?;
    Ok(Json(Orphans {
        policy: call.state.config.orphans,
        removed_after_seconds: SETTLE.as_secs(),
        items: found.into_iter().map(Orphan::from).collect(),
    }))
}
