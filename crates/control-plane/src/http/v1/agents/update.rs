//! `PATCH /api/v1/agents/{id}`: changes an agent.

use std::num::NonZeroU32;

use agentopia_api::Problem;
use agentopia_api::agent::{Agent, UpdateAgentRequest};
use agentopia_domain::AgentId;
use agentopia_domain::event::ObjectKind;
use agentopia_store::AgentPatch;
use axum::Json;

use super::create::check_description;
use crate::http::extract::{Body, Call, PathId};
use crate::problem::Answer;

/// Changes an agent; what is absent stays.
#[utoipa::path(
    patch,
    path = "/api/v1/agents/{id}",
    operation_id = "update_agent",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent")),
    request_body = UpdateAgentRequest,
    responses(
        (status = 200, description = "Changed", body = Agent),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "duplicate", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<AgentId>,
    Body(request): Body<UpdateAgentRequest>,
) -> Answer<Json<Agent>> {
    if let Some(description) = &request.description {
        check_description(description)?;
    }
    let event = call.event(
        "agent.updated",
        (ObjectKind::Agent, id),
        "changed what it is called, how it sees its tools or how much it may call",
    );
    let agent = call
        .store()
        .agents()
        .update(
            call.account(),
            id,
            AgentPatch {
                name: request.name,
                description: request.description,
                search_mode: request.search_mode,
                calls_per_day: request.calls_per_day.map(NonZeroU32::new),
            },
            &[event],
        )
        .await?;
    call.state.wake.routes();
    Ok(Json(Agent::new(agent, &call.state.config.base_url())))
}
