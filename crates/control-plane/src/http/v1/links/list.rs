//! `GET /api/v1/agents/{id}/links`: what an agent may use.

use agentopia_api::link::Link;
use agentopia_api::page::PageQuery;
use agentopia_api::{Page, Problem};
use agentopia_domain::AgentId;
use agentopia_store::LinkFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params, PathId};
use crate::problem::Answer;

/// The links of an agent, switched off ones too.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/links",
    operation_id = "list_links",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent"), PageQuery),
    responses(
        (status = 200, description = "A page of links", body = Page<Link>),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<AgentId>,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Link>>> {
    let request = cursor::page_request("links", query.cursor.as_deref(), query.limit)?;
    call.store().agents().get(call.account(), id).await?;
    let filter = LinkFilter {
        agent_id: Some(id),
        ..LinkFilter::default()
    };
    let page = call
        .store()
        .links()
        .list(call.account(), filter, request)
        .await?;
    Ok(Json(cursor::page("links", page, Link::from)))
}
