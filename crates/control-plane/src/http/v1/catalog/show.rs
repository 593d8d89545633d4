//! `GET /api/v1/catalog/{entry}`: one blueprint.

use agentopia_api::Problem;
use agentopia_api::catalog::CatalogEntry;
use axum::Json;

use super::find;
use crate::http::extract::{Call, PathText};
use crate::problem::Answer;

/// One entry, by slug or id.
#[utoipa::path(
    get,
    path = "/api/v1/catalog/{entry}",
    operation_id = "show_catalog_entry",
    tag = "catalog",
    security(("session" = []), ("token" = [])),
    params(("entry" = String, Path, description = "Slug or id")),
    responses(
        (status = 200, description = "The entry", body = CatalogEntry),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathText(text): PathText) -> Answer<Json<CatalogEntry>> {
    let entry = find::by_slug_or_id(call.store(), &text).await?;
    Ok(Json(entry.into()))
}
