//! `POST /api/v1/environment/scale`: gives the machine another size.

use agentopia_api::Problem;
use agentopia_api::environment::{Environment, ScaleEnvironmentRequest};
use agentopia_domain::environment::EnvironmentEvent;
use agentopia_domain::event::ObjectKind;
use axum::Json;
use http::StatusCode;

use super::offer::{Wish, capacity_with};
use crate::http::extract::{Body, Call};
use crate::problem::{Answer, Refusal, kind};

/// Gives the machine another size. Its tools stop for some minutes and come back by themselves.
/// Returns at once; watch its status and `scaling`. Tools that are deployed meanwhile have to fit on
/// both sizes, and start when the machine is back. When anything goes wrong the machine goes on
/// with its old size, and `error_message` says why.
#[utoipa::path(
    post,
    path = "/api/v1/environment/scale",
    operation_id = "scale_environment",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    request_body = ScaleEnvironmentRequest,
    responses(
        (status = 202, description = "Wanted", body = Environment),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state, does_not_fit", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "not_offered", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "provider_error", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<ScaleEnvironmentRequest>,
) -> Answer<(StatusCode, Json<Environment>)> {
    let wish = Wish::of(&call).await?;
    let environment = wish
        .environment()
        .ok_or_else(|| Refusal::not_found("environment"))?;
    if environment
        .status
        .on(EnvironmentEvent::ScaleStarted)
        .is_err()
    {
        return Err(Refusal::new(
            kind::WRONG_STATE,
            "only an active environment can change its size; look at its status and try again \
             when it is active",
        ));
    }
    let offered = wish.offered(&call).await?;
    let named = offered.iter().find(|size| size.name == request.size);
    let size = named.ok_or_else(|| wish.unknown(&request.size, &offered))?;
    if let Some(obstacle) = wish.obstacle(size) {
        return Err(obstacle.refusal(&request.size));
    }
    let event = call
        .event(
            "environment.scale_requested",
            (ObjectKind::Environment, environment.id),
            format!("asked for the size {}", size.name),
        )
        .data(serde_json::json!({"from": environment.size, "to": size.name}));
    let capacity = capacity_with(environment, size);
    let changed = call
        .store()
        .environments()
        .begin_scaling(call.account(), &size.name, Some(capacity), &[event])
        .await?;
    call.state.wake.environment(changed.id);
    Ok((StatusCode::ACCEPTED, Json(changed.into())))
}
