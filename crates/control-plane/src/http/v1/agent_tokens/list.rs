//! `GET /api/v1/agents/{id}/tokens`: an agent's tokens.

use agentopia_api::page::PageQuery;
use agentopia_api::token::Token;
use agentopia_api::{Page, Problem};
use agentopia_domain::AgentId;
use agentopia_store::TokenFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params, PathId};
use crate::problem::Answer;

/// An agent's tokens, revoked ones too; never the tokens themselves.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/tokens",
    operation_id = "list_agent_tokens",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent"), PageQuery),
    responses(
        (status = 200, description = "A page of tokens", body = Page<Token>),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<AgentId>,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Token>>> {
    let request = cursor::page_request("agent_tokens", query.cursor.as_deref(), query.limit)?;
    call.store().agents().get(call.account(), id).await?;
    let page = call
        .store()
        .api_tokens()
        .list(call.account(), TokenFilter::Agent(id), request)
        .await?;
    Ok(Json(cursor::page("agent_tokens", page, Token::from)))
}
