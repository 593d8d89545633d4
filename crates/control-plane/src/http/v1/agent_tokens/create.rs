//! `POST /api/v1/agents/{id}/tokens`: makes a token for an agent.

use agentopia_api::Problem;
use agentopia_api::token::{CreateAgentTokenRequest, CreatedToken};
use agentopia_domain::event::ObjectKind;
use agentopia_domain::token::{self, TokenKind, TokenSubject};
use agentopia_domain::{AgentId, ApiTokenId};
use agentopia_store::NewApiToken;
use axum::Json;
use chrono::{DateTime, Duration, Utc};
use http::StatusCode;

use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal};

const MAX_LIFE_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// Makes a token for an agent. It is shown in this answer and never again; it opens the agent's
/// MCP endpoint and nothing else.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{id}/tokens",
    operation_id = "create_agent_token",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent")),
    request_body = CreateAgentTokenRequest,
    responses(
        (status = 201, description = "Made", body = CreatedToken),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(agent): PathId<AgentId>,
    Body(request): Body<CreateAgentTokenRequest>,
) -> Answer<(StatusCode, Json<CreatedToken>)> {
    let expires_at = end(request.expires_in_seconds, call.now())?;
    let minted = token::mint(TokenKind::Agent, &call.state.ambient);
    let id: ApiTokenId = call.new_id();
    let event = call
        .event(
            "api_token.created",
            (ObjectKind::ApiToken, id),
            format!("made the agent token {}", request.name),
        )
        .data(serde_json::json!({ "agent_id": agent }));
    let record = call
        .store()
        .api_tokens()
        .create(
            NewApiToken {
                id,
                account_id: call.account(),
                user_id: call.caller.user.id,
                name: request.name,
                subject: TokenSubject::Agent(agent),
                expires_at,
                hash: minted.hash,
            },
            &[event],
        )
        .await?;
    call.state.wake.routes();
    Ok((
        StatusCode::CREATED,
        Json(CreatedToken {
            token: minted.secret,
            record: record.into(),
        }),
    ))
}

fn end(seconds: Option<u64>, now: DateTime<Utc>) -> Answer<Option<DateTime<Utc>>> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    if !(1..=MAX_LIFE_SECONDS).contains(&seconds) {
        return Err(Refusal::field(
            "expires_in_seconds",
            format!("use 1 to {MAX_LIFE_SECONDS}, or leave it out for a token without an end"),
        ));
    }
    let life = Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    Ok(Some(now + life))
}
