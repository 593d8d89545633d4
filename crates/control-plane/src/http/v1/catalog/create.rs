//! `POST /api/v1/catalog`: adds a blueprint (admins).

use agentopia_api::Problem;
use agentopia_api::catalog::CatalogEntry;
use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::event::ObjectKind;
use axum::Json;
use http::StatusCode;

use super::find;
use crate::http::extract::{Body, Call};
use crate::problem::Answer;

/// Adds an entry.
#[utoipa::path(
    post,
    path = "/api/v1/catalog",
    operation_id = "create_catalog_entry",
    tag = "catalog",
    security(("session" = []), ("token" = [])),
    request_body = CatalogDefinition,
    responses(
        (status = 201, description = "Added", body = CatalogEntry),
        (status = 409, description = "duplicate", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(definition): Body<CatalogDefinition>,
) -> Answer<(StatusCode, Json<CatalogEntry>)> {
    find::check(&definition)?;
    let id: CatalogEntryId = call.new_id();
    let event = call.installation_event(
        "catalog_entry.created",
        (ObjectKind::CatalogEntry, id),
        format!("added {} to the catalog", definition.slug),
    );
    let entry = call
        .store()
        .catalog()
        .insert(id, &definition, &[event])
        .await?;
    Ok((StatusCode::CREATED, Json(entry.into())))
}
