//! `GET /api/v1/grants`: the programs that may use the account's endpoints.

use agentopia_api::grant::Grant;
use agentopia_api::page::PageQuery;
use agentopia_api::{Page, Problem};
use agentopia_store::GrantFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The programs that were let in by browser login and still are, at agents' endpoints and at
/// instances'.
#[utoipa::path(
    get,
    path = "/api/v1/grants",
    operation_id = "list_grants",
    tag = "grants",
    security(("session" = []), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of grants", body = Page<Grant>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Grant>>> {
    let request = cursor::page_request("grants", query.cursor.as_deref(), query.limit)?;
    let grants = call.store().grants();
    let page = grants
        .list(call.account(), GrantFilter::All, request)
        .await?;
    Ok(Json(cursor::page("grants", page, Grant::from)))
}
