//! `POST /api/v1/verification`: looks at the whole installation. Nothing is kept of it.

use agentopia_api::Problem;
use agentopia_api::verification::Verification;
use axum::Json;

use crate::http::extract::Call;
use crate::problem::Answer;

/// Looks whether the installation works, from the inside: configuration, database, vault, the
/// provider with its limits and defaults, the address for machines, and every machine. Changes
/// nothing, also at the provider. Each check has a time limit, so an answer takes up to half a
/// minute; it is a success whatever was found.
#[utoipa::path(
    post,
    path = "/api/v1/verification",
    operation_id = "verify",
    tag = "verification",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "What was found", body = Verification),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<Json<Verification>> {
    let inspect = &call.state.inspect;
    Ok(Json(Verification {
        public_url: call.state.config.base_url(),
        installation: inspect.installation(),
        checks: inspect.verify().await,
    }))
}
