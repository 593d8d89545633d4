//! `GET /api/v1/environment`: the account's machine.

use agentopia_api::Problem;
use agentopia_api::environment::EnvironmentAnswer;
use axum::Json;

use crate::http::extract::Call;
use crate::problem::Answer;

/// The account's environment, if it ever had one.
#[utoipa::path(
    get,
    path = "/api/v1/environment",
    operation_id = "show_environment",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "The environment, or null", body = EnvironmentAnswer),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<Json<EnvironmentAnswer>> {
    let environment = call.store().environments().find(call.account()).await?;
    Ok(Json(EnvironmentAnswer {
        environment: environment.map(Into::into),
    }))
}
