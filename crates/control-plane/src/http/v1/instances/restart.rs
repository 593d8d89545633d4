//! `POST /api/v1/instances/{id}/restart`.

use agentopia_api::Problem;
use agentopia_api::instance::Instance;
use agentopia_domain::InstanceId;
use agentopia_store::InstanceIntent;
use axum::Json;
use http::StatusCode;

use super::intend::intend;
use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// Runs an instance afresh. Returns at once; watch its status.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/restart",
    operation_id = "restart_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 202, description = "Wanted", body = Instance),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state, does_not_fit", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
) -> Answer<(StatusCode, Json<Instance>)> {
    intend(
        &call,
        id,
        InstanceIntent::Restart,
        "instance.restart_requested",
        "asked to restart",
    )
    .await
}
