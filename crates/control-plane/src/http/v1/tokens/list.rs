//! `GET /api/v1/tokens`: the caller's personal tokens.

use agentopia_api::page::PageQuery;
use agentopia_api::token::Token;
use agentopia_api::{Page, Problem};
use agentopia_store::TokenFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The caller's personal tokens, revoked ones too; never the tokens themselves.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    operation_id = "list_tokens",
    tag = "tokens",
    security(("session" = []), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of tokens", body = Page<Token>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Token>>> {
    let request = cursor::page_request("tokens", query.cursor.as_deref(), query.limit)?;
    let page = call
        .store()
        .api_tokens()
        .list(call.account(), TokenFilter::Personal, request)
        .await?;
    Ok(Json(cursor::page("tokens", page, Token::from)))
}
