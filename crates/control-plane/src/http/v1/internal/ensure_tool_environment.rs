//! `POST /internal/agents/{agent_id}/ensure-tool-environment`: the service-to-service form of
//! enabling an environment (ENV-3).

use agentopia_api::Problem;
use agentopia_api::environment::Environment;
use agentopia_domain::AgentId;
use agentopia_domain::event::Actor;
use agentopia_store::Placement;
use axum::Json;
use http::StatusCode;

use crate::http::extract::{PathId, PublicCall};
use crate::http::v1::environment::ensure::ensure;
use crate::problem::Answer;

/// Makes sure that the environment of an agent's account is wanted. Idempotent. Needs the header
/// `X-Internal-Api-Secret`; a 404 while no secret is configured.
#[utoipa::path(
    post,
    path = "/internal/agents/{agent_id}/ensure-tool-environment",
    operation_id = "ensure_tool_environment",
    tag = "internal",
    security(("internal" = [])),
    params(("agent_id" = AgentId, Path, description = "The agent")),
    responses(
        (status = 202, description = "Wanted, now or before", body = Environment),
        (status = 403, description = "wrong_internal_secret", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: PublicCall,
    PathId(agent): PathId<AgentId>,
) -> Answer<(StatusCode, Json<Environment>)> {
    let agent = call.state.store.agents().get_unscoped(agent).await?;
    let environment = ensure(
        &call.state,
        agent.account_id,
        Placement::default(),
        |object| {
            call.event(
                Some(agent.account_id),
                Actor::Service,
                "environment.enabled",
                object,
                format!("another service asked for it, for the agent {}", agent.name),
            )
        },
    )
    .await?;
    Ok((StatusCode::ACCEPTED, Json(environment.into())))
}
