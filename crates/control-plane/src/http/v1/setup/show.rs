//! `GET /api/v1/setup`: whether the first admin is still to be made.

use agentopia_api::Problem;
use agentopia_api::auth::SetupStatus;
use axum::Json;

use crate::http::extract::PublicCall;
use crate::problem::Answer;

/// Whether the first admin is still to be made.
#[utoipa::path(
    get,
    path = "/api/v1/setup",
    operation_id = "show_setup",
    tag = "setup",
    responses(
        (status = 200, description = "Whether it is needed", body = SetupStatus),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: PublicCall) -> Answer<Json<SetupStatus>> {
    let needed = call.state.store.users().is_empty().await?;
    Ok(Json(SetupStatus { needed }))
}
