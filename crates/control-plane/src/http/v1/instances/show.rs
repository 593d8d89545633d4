//! `GET /api/v1/instances/{id}`: one instance.

use agentopia_api::Problem;
use agentopia_api::instance::Instance;
use agentopia_domain::InstanceId;
use axum::Json;

use super::shown;
use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// One instance, also one that was removed.
#[utoipa::path(
    get,
    path = "/api/v1/instances/{id}",
    operation_id = "show_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 200, description = "The instance", body = Instance),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<InstanceId>) -> Answer<Json<Instance>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    Ok(Json(shown::one(&call, instance).await?))
}
