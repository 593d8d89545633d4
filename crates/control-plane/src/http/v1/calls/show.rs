//! `GET /api/v1/calls/{sequence}`: one call, with what was said in it.

use agentopia_api::Problem;
use agentopia_api::call::CallDetail;
use axum::Json;
use axum::extract::Path;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

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
pub(super) async fn handler(call: Call, Path(sequence): Path<String>) -> Answer<Json<CallDetail>> {
    let sequence: i64 = sequence
        .parse()
        .map_err(|_| Refusal::new(kind::NOT_FOUND, "there is no such call"))?;
    let found = call.store().calls().get(call.account(), sequence).await?;
    Ok(Json(found.into()))
}
