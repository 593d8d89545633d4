//! `POST /api/v1/legacy-import`: shows what an import would do, or does it.

use agentopia_api::Problem;
use agentopia_api::legacy::{LegacyImport, LegacyImportRequest};
use axum::Json;

use super::apply::apply;
use super::known::Known;
use super::plan::plan;
use crate::http::extract::{Body, Call};
use crate::problem::Answer;

/// Imports the earlier model: each user's droplets become one environment, their tools instances,
/// their agents agents with links. Without `apply` nothing is changed. Doing it again makes what is
/// still missing. Old droplets are never touched.
#[utoipa::path(
    post,
    path = "/api/v1/legacy-import",
    operation_id = "import_legacy",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    request_body = LegacyImportRequest,
    responses(
        (status = 200, description = "What would be done, or was", body = LegacyImport),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<LegacyImportRequest>,
) -> Answer<Json<LegacyImport>> {
    let known = Known::read(&call, &request).await?;
    let planned = plan(&request, &known);
    let answer = if request.apply {
        apply(&call, planned).await?
    } else {
        planned.answer
    };
    Ok(Json(answer))
}
