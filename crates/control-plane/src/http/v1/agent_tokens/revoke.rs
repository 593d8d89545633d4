//! `DELETE /api/v1/agents/{id}/tokens/{token_id}`: takes an agent's token back.

use agentopia_api::Problem;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::token::TokenSubject;
use agentopia_domain::{AgentId, ApiTokenId};
use http::StatusCode;

use crate::http::extract::{Call, PathIds};
use crate::problem::{Answer, Refusal};

/// Takes an agent's token back; it opens nothing from then on.
#[utoipa::path(
    delete,
    path = "/api/v1/agents/{id}/tokens/{token_id}",
    operation_id = "revoke_agent_token",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = AgentId, Path, description = "The agent"),
        ("token_id" = ApiTokenId, Path, description = "The token"),
    ),
    responses(
        (status = 204, description = "Taken back, now or before"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathIds(agent, id): PathIds<AgentId, ApiTokenId>,
) -> Answer<StatusCode> {
    let tokens = call.store().api_tokens();
    let token = tokens.get(call.account(), id).await?;
    if token.subject != TokenSubject::Agent(agent) {
        return Err(Refusal::not_found("token"));
    }
    let event = call
        .event(
            "api_token.revoked",
            (ObjectKind::ApiToken, id),
            format!("took the agent token {} back", token.name),
        )
        .data(serde_json::json!({ "agent_id": agent }));
    tokens.revoke(call.account(), id, &[event]).await?;
    call.state.wake.routes();
    Ok(StatusCode::NO_CONTENT)
}
