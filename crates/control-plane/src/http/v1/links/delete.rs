//! `DELETE /api/v1/agents/{id}/links/{instance_id}`: takes a link away.

use agentopia_api::Problem;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::{AgentId, InstanceId};
use http::StatusCode;

use super::find::find;
use super::words::words;
use crate::http::extract::{Call, PathIds};
use crate::problem::{Answer, Refusal};

/// Takes the link of an agent to an instance away.
#[utoipa::path(
    delete,
    path = "/api/v1/agents/{id}/links/{instance_id}",
    operation_id = "delete_link",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = AgentId, Path, description = "The agent"),
        ("instance_id" = InstanceId, Path, description = "The instance"),
    ),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathIds(agent, instance): PathIds<AgentId, InstanceId>,
) -> Answer<StatusCode> {
    let link = find(&call, agent, instance)
        .await?
        .ok_or_else(|| Refusal::not_found("link"))?;
    let words = words(&call, "may no longer use", agent, instance).await?;
    let event = call
        .event("link.deleted", (ObjectKind::Link, link.id), words)
        .data(serde_json::json!({ "agent_id": agent, "instance_id": instance }));
    call.store()
        .links()
        .delete(call.account(), link.id, &[event])
        .await?;
    call.state.wake.routes();
    Ok(StatusCode::NO_CONTENT)
}
