//! `GET /api/v1/agents`: the account's agents.

use agentopia_api::agent::Agent;
use agentopia_api::page::PageQuery;
use agentopia_api::{Page, Problem};
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The account's agents, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/agents",
    operation_id = "list_agents",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of agents", body = Page<Agent>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Agent>>> {
    let request = cursor::page_request("agents", query.cursor.as_deref(), query.limit)?;
    let page = call.store().agents().list(call.account(), request).await?;
    let base_url = call.state.config.base_url();
    Ok(Json(cursor::page("agents", page, |agent| {
        Agent::new(agent, &base_url)
    })))
}
