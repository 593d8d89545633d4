//! `GET /api/v1/catalog`: what can be deployed.

use agentopia_api::catalog::{CatalogEntry, CatalogQuery};
use agentopia_api::{Page, Problem};
use agentopia_domain::catalog::CatalogStatus;
use agentopia_store::CatalogFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// What is shown unless a status is asked for: all but the archived.
const USUAL: [CatalogStatus; 4] = [
    CatalogStatus::Available,
    CatalogStatus::Beta,
    CatalogStatus::Experimental,
    CatalogStatus::Deprecated,
];

/// The tools that can be deployed. Archived ones are left out unless `status` asks for them.
#[utoipa::path(
    get,
    path = "/api/v1/catalog",
    operation_id = "list_catalog",
    tag = "catalog",
    security(("session" = []), ("token" = [])),
    params(CatalogQuery),
    responses(
        (status = 200, description = "A page of entries", body = Page<CatalogEntry>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<CatalogQuery>,
) -> Answer<Json<Page<CatalogEntry>>> {
    let request = cursor::page_request("catalog", query.cursor.as_deref(), query.limit)?;
    let filter = CatalogFilter {
        statuses: query.status.map_or_else(|| USUAL.to_vec(), |one| vec![one]),
        category: query.category,
        search: query.search,
        updated_since: None,
    };
    let page = call.store().catalog().list(&filter, request).await?;
    Ok(Json(cursor::page("catalog", page, CatalogEntry::from)))
}
