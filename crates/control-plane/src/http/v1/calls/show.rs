//! `GET /api/v1/calls/{sequence}`: one call, with what was said in it.

use agentopia_api::Problem;
use agentopia_api::call::CallDetail;
use axum::Json;

use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// One call. Arguments and result are there if the account's settings said so when it was made.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{sequence}",
    operation_id = "get_call",
    tag = "calls",
    security(("session" = []), ("token" = [])),
    params(("sequence" = i64, Path, description = "The call's `sequence`")),
    responses(
        (status = 200, description = "The call", body = CallDetail),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(sequence): PathId<i64>) -> Answer<Json<CallDetail>> {
    let found = call.store().calls().get(call.account(), sequence).await?;
    Ok(Json(found.into()))
}
