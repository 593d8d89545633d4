//! `POST /api/v1/environment/enable`: turns the environment on.

use agentopia_api::Problem;
use agentopia_api::environment::{EnableEnvironmentRequest, Environment};
use agentopia_store::Placement;
use axum::Json;
use http::StatusCode;

use super::ensure::ensure;
use crate::http::extract::{Body, Call};
use crate::problem::Answer;

/// Turns the environment on. Returns at once; watch its status. Already on: nothing happens.
#[utoipa::path(
    post,
    path = "/api/v1/environment/enable",
    operation_id = "enable_environment",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    request_body(content = EnableEnvironmentRequest, description = "May be left out"),
    responses(
        (status = 202, description = "Wanted", body = Environment),
        (status = 409, description = "wrong_state", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "not_offered", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    body: Option<Body<EnableEnvironmentRequest>>,
) -> Answer<(StatusCode, Json<Environment>)> {
    let request = body.map(|Body(request)| request).unwrap_or_default();
    let placement = Placement {
        region: request.region,
        size: request.size,
        image: request.image,
    };
    let environment = ensure(&call.state, call.account(), placement, |object| {
        call.event(
            "environment.enabled",
            object,
            "the environment was turned on",
        )
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Json(environment.into())))
}
