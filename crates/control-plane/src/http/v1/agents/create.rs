//! `POST /api/v1/agents`: makes an agent.

use std::num::NonZeroU32;

use agentopia_api::Problem;
use agentopia_api::agent::{Agent, CreateAgentRequest};
use agentopia_domain::AgentId;
use agentopia_domain::event::ObjectKind;
use agentopia_store::NewAgent;
use axum::Json;
use http::StatusCode;

use crate::http::extract::{Body, Call};
use crate::problem::{Answer, Refusal};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2000;

/// Makes an agent.
#[utoipa::path(
    post,
    path = "/api/v1/agents",
    operation_id = "create_agent",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    request_body = CreateAgentRequest,
    responses(
        (status = 201, description = "Made", body = Agent),
        (status = 409, description = "duplicate", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<CreateAgentRequest>,
) -> Answer<(StatusCode, Json<Agent>)> {
    check_description(&request.description)?;
    let id: AgentId = call.new_id();
    let event = call.event(
        "agent.created",
        (ObjectKind::Agent, id),
        format!("made the agent {}", request.name),
    );
    let agent = call
        .store()
        .agents()
        .create(
            NewAgent {
                id,
                account_id: call.account(),
                name: request.name,
                description: request.description,
                search_mode: request.search_mode,
                calls_per_day: NonZeroU32::new(request.calls_per_day),
            },
            &[event],
        )
        .await?;
    call.state.wake.routes();
    Ok((
        StatusCode::CREATED,
        Json(Agent::new(agent, &call.state.config.base_url())),
    ))
}

pub(super) fn check_description(description: &str) -> Answer<()> {
    if description.chars().count() <= MAX_DESCRIPTION {
        return Ok(());
    }
    Err(Refusal::field(
        "description",
        format!("use at most {MAX_DESCRIPTION} characters"),
    ))
}
