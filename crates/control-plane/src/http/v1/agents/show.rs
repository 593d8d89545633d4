//! `GET /api/v1/agents/{id}`: one agent.

use agentopia_api::Problem;
use agentopia_api::agent::Agent;
use agentopia_domain::AgentId;
use axum::Json;

use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// One agent.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}",
    operation_id = "show_agent",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent")),
    responses(
        (status = 200, description = "The agent", body = Agent),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<AgentId>) -> Answer<Json<Agent>> {
    let agent = call.store().agents().get(call.account(), id).await?;
    Ok(Json(Agent::new(agent, &call.state.config.base_url())))
}
