//! `GET /api/v1/calls`: what the account's agents called.

use agentopia_api::{Page, Problem, call};
use agentopia_store::CallFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The calls of the account's agents and people, newest first. A call is here a moment after it ended.
#[utoipa::path(
    get,
    path = "/api/v1/calls",
    operation_id = "list_calls",
    tag = "calls",
    security(("session" = []), ("token" = [])),
    params(call::CallQuery),
    responses(
        (status = 200, description = "A page of calls", body = Page<call::Call>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<call::CallQuery>,
) -> Answer<Json<Page<call::Call>>> {
    let before = cursor::decode::<i64>("calls", query.cursor.as_deref())?;
    let limit = cursor::limit(query.limit)?;
    let filter = CallFilter {
        agent_id: query.agent_id,
        instance_id: query.instance_id,
        outcome: query.outcome,
    };
    let page = call
        .store()
        .calls()
        .list(call.account(), &filter, before, limit)
        .await?;
    Ok(Json(Page {
        items: page.items.into_iter().map(call::Call::from).collect(),
        next_cursor: page
            .next_before
            .map(|before| cursor::encode("calls", before)),
    }))
}
