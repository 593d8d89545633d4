//! `PUT /api/v1/catalog/{entry}`: replaces a blueprint (admins).

use agentopia_api::Problem;
use agentopia_api::catalog::CatalogEntry;
use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::event::ObjectKind;
use axum::Json;

use super::find;
use crate::http::extract::{Body, Call, PathText};
use crate::problem::{Answer, Refusal};

/// Replaces an entry. Instances that run keep the limits they were deployed with.
#[utoipa::path(
    put,
    path = "/api/v1/catalog/{entry}",
    operation_id = "update_catalog_entry",
    tag = "catalog",
    security(("session" = []), ("token" = [])),
    params(("entry" = String, Path, description = "Slug or id")),
    request_body = CatalogDefinition,
    responses(
        (status = 200, description = "Replaced", body = CatalogEntry),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathText(text): PathText,
    Body(definition): Body<CatalogDefinition>,
) -> Answer<Json<CatalogEntry>> {
    let current = find::by_slug_or_id(call.store(), &text).await?;
    find::check(&definition)?;
    if definition.slug != current.definition.slug {
        return Err(Refusal::field(
            "slug",
            "a slug never changes; add a new entry and archive this one",
        ));
    }
    let event = call.installation_event(
        "catalog_entry.updated",
        (ObjectKind::CatalogEntry, current.id),
        format!("changed {} in the catalog", definition.slug),
    );
    let changed = call
        .store()
        .catalog()
        .upsert(call.new_id(), &definition, &[event])
        .await?;
    Ok(Json(changed.value.into()))
}
