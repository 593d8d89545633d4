//! `DELETE /api/v1/catalog/{entry}`: archives a blueprint (admins).

use agentopia_api::Problem;
use agentopia_api::catalog::CatalogEntry;
use agentopia_domain::catalog::CatalogStatus;
use agentopia_domain::event::ObjectKind;
use axum::Json;

use super::find;
use crate::http::extract::{Call, PathText};
use crate::problem::Answer;

/// Archives an entry: its instances go on, new ones are refused. Nothing is deleted.
#[utoipa::path(
    delete,
    path = "/api/v1/catalog/{entry}",
    operation_id = "archive_catalog_entry",
    tag = "catalog",
    security(("session" = []), ("token" = [])),
    params(("entry" = String, Path, description = "Slug or id")),
    responses(
        (status = 200, description = "Archived, now or before", body = CatalogEntry),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathText(text): PathText) -> Answer<Json<CatalogEntry>> {
    let current = find::by_slug_or_id(call.store(), &text).await?;
    let mut definition = current.definition;
    definition.status = CatalogStatus::Archived;
    let event = call.installation_event(
        "catalog_entry.archived",
        (ObjectKind::CatalogEntry, current.id),
        format!("archived {} in the catalog", definition.slug),
    );
    let changed = call
        .store()
        .catalog()
        .upsert(call.new_id(), &definition, &[event])
        .await?;
    Ok(Json(changed.value.into()))
}
