//! `GET /api/v1/agents/{id}/grants`: the programs that may act as an agent.

use agentopia_api::grant::Grant;
use agentopia_api::page::PageQuery;
use agentopia_api::{Page, Problem};
use agentopia_domain::AgentId;
use agentopia_store::GrantFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params, PathId};
use crate::problem::Answer;

/// The programs that were let in at an agent's endpoint by browser login, and still are.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/grants",
    operation_id = "list_agent_grants",
    tag = "grants",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent"), PageQuery),
    responses(
        (status = 200, description = "A page of grants", body = Page<Grant>),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<AgentId>,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Grant>>> {
    let request = cursor::page_request("agent_grants", query.cursor.as_deref(), query.limit)?;
    call.store().agents().get(call.account(), id).await?;
    let grants = call.store().grants();
    let filter = GrantFilter::Agent(id);
    let page = grants.list(call.account(), filter, request).await?;
    Ok(Json(cursor::page("agent_grants", page, Grant::from)))
}
