//! `DELETE /api/v1/instances/{id}`: takes an instance away.

use agentopia_api::Problem;
use agentopia_api::instance::{Instance, RemoveQuery};
use agentopia_domain::InstanceId;
use agentopia_store::InstanceIntent;
use axum::Json;
use http::StatusCode;

use super::intend::intend;
use crate::http::extract::{Call, Params, PathId};
use crate::problem::Answer;
use crate::upstream_login::logout;

/// Takes an instance away. Its data stays on the machine unless `purge_data` is true. Returns at
/// once; watch its status.
#[utoipa::path(
    delete,
    path = "/api/v1/instances/{id}",
    operation_id = "remove_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance"), RemoveQuery),
    responses(
        (status = 202, description = "No longer wanted", body = Instance),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Params(query): Params<RemoveQuery>,
) -> Answer<(StatusCode, Json<Instance>)> {
    let message = if query.purge_data {
        "asked to remove it with its data"
    } else {
        "asked to remove it and keep its data"
    };
    let intent = InstanceIntent::Remove {
        purge_data: query.purge_data,
    };
    let answer = intend(&call, id, intent, "instance.remove_requested", message).await?;
    logout::with_instance(&call.state, call.account(), id).await?;
    call.state.wake.routes();
    Ok(answer)
}
