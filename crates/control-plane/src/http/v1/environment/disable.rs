//! `POST /api/v1/environment/disable`: turns the environment off.

use agentopia_api::Problem;
use agentopia_api::environment::Environment;
use agentopia_domain::environment::DesiredEnvironment;
use agentopia_domain::event::ObjectKind;
use axum::Json;
use http::StatusCode;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal};

/// Turns the environment off: its tools are stopped, then the machine and everything that belongs
/// to it goes. Returns at once; watch its status.
#[utoipa::path(
    post,
    path = "/api/v1/environment/disable",
    operation_id = "disable_environment",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 202, description = "No longer wanted", body = Environment),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<(StatusCode, Json<Environment>)> {
    let environments = call.store().environments();
    let current = environments
        .find(call.account())
        .await?
        .ok_or_else(|| Refusal::not_found("environment"))?;
    let event = call.event(
        "environment.disabled",
        (ObjectKind::Environment, current.id),
        "the environment was turned off",
    );
    let changed = environments
        .set_desired(call.account(), DesiredEnvironment::Disabled, &[event])
        .await?;
    call.state.wake.environment(changed.value.id);
    Ok((StatusCode::ACCEPTED, Json(changed.value.into())))
}
