//! `GET /api/v1/instances/{id}/tools`: what an instance offers.

use std::time::Duration;

use agentopia_api::Problem;
use agentopia_api::instance::ToolList;
use agentopia_domain::InstanceId;
use axum::Json;

use crate::http::extract::{Call, PathId};
use crate::problem::Answer;
use crate::state::ToolGatewayError;

/// The tools that an instance offers right now, asked of the server itself.
#[utoipa::path(
    get,
    path = "/api/v1/instances/{id}/tools",
    operation_id = "instance_tools",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 200, description = "Its tools", body = ToolList),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_running", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "unreachable, upstream_error", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<InstanceId>) -> Answer<Json<ToolList>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    let limit = Duration::from_secs(call.state.config.call_timeout_seconds);
    let tools = tokio::time::timeout(limit, call.state.gateway.tools(&instance))
        .await
        .unwrap_or(Err(ToolGatewayError::TimedOut))?;
    Ok(Json(ToolList { tools }))
}
