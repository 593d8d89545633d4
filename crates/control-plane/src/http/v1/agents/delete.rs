//! `DELETE /api/v1/agents/{id}`: takes an agent away.

use agentopia_api::Problem;
use agentopia_domain::AgentId;
use agentopia_domain::event::ObjectKind;
use http::StatusCode;

use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// Takes an agent away, with its links and tokens. The instances it used go on.
#[utoipa::path(
    delete,
    path = "/api/v1/agents/{id}",
    operation_id = "delete_agent",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<AgentId>) -> Answer<StatusCode> {
    let agent = call.store().agents().get(call.account(), id).await?;
    let event = call.event(
        "agent.deleted",
        (ObjectKind::Agent, id),
        format!(
            "took the agent {} away, with its links and tokens",
            agent.name
        ),
    );
    call.store()
        .agents()
        .delete(call.account(), id, &[event])
        .await?;
    call.state.wake.routes();
    Ok(StatusCode::NO_CONTENT)
}
