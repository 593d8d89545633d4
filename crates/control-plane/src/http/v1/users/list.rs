//! `GET /api/v1/users`: everybody.

use agentopia_api::page::PageQuery;
use agentopia_api::user::User;
use agentopia_api::{Page, Problem};
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// Everybody who can sign in.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "list_users",
    tag = "users",
    security(("session" = []), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of users", body = Page<User>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<User>>> {
    let request = cursor::page_request("users", query.cursor.as_deref(), query.limit)?;
    let page = call.store().users().list(request).await?;
    Ok(Json(cursor::page("users", page, User::from)))
}
