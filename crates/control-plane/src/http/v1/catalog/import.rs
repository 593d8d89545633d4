//! `POST /api/v1/catalog-import`: what people find about MCP servers becomes blueprints (admins).
//!
//! * [`gather`] reads what was named: a text, an address, a registry;
//! * [`lookup`] asks package registries for versions, [`image`] registries of images for digests and labels;
//! * [`save`] puts entries into the catalog, or only says what would be.
//!
//! What a text means is decided by `agentopia-catalog-import`, which is pure.

mod gather;
pub(in crate::http::v1) mod image;
mod lookup;
mod save;

use agentopia_api::Problem;
use agentopia_api::catalog_import::{
    CatalogImport, CatalogImportRequest, ImportItem, ImportOutcome,
};
use agentopia_api::problem::FieldProblem;
use agentopia_catalog_import::Found;
use axum::Json;
use futures::{StreamExt as _, stream};

use crate::http::extract::{Body, Call};
use crate::problem::{Answer, Refusal, kind};

/// How many package registries are asked at a time.
const AT_A_TIME: usize = 8;

/// Imports what was found: an image, a package, a `server.json`, `mcpServers`, an address, or a page of
/// an MCP registry. Values that look like secrets are never kept. With `dry_run` nothing is saved, and
/// the answer has what would be.
#[utoipa::path(
    post,
    path = "/api/v1/catalog-import",
    operation_id = "import_catalog",
    tag = "catalog",
    security(("session" = []), ("token" = [])),
    request_body = CatalogImportRequest,
    responses(
        (status = 200, description = "What became of each server", body = CatalogImport),
        (status = 409, description = "duplicate: the only entry's slug is taken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "not_importable, invalid_input", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<CatalogImportRequest>,
) -> Answer<Json<CatalogImport>> {
    let gathered = gather::gather(&call, &request).await?;
    if request.slug.is_some() && gathered.found.len() != 1 {
        return Err(Refusal::field(
            "slug",
            format!(
                "can be given where it is one server; here are {}",
                gathered.found.len()
            ),
        ));
    }
    if !gathered.is_page {
        refuse_where_nothing_is_left(&gathered.found)?;
    }
    let looking = gathered
        .found
        .into_iter()
        .map(|found| lookup::complete(&call, found));
    let complete: Vec<Found> = stream::iter(looking).buffered(AT_A_TIME).collect().await;
    if !gathered.is_page {
        refuse_where_nothing_is_left(&complete)?;
    }
    let only = !gathered.is_page && complete.len() == 1;
    let mut items = Vec::with_capacity(complete.len());
    for found in complete {
        items.push(save::one(&call, &request, found).await?);
    }
    match items.first() {
        Some(item) if only && item.outcome == ImportOutcome::Exists => {
            let slug = item.definition.as_ref().map(|it| it.slug.as_str());
            Err(Refusal::new(
                kind::DUPLICATE,
                format!(
                    "the catalog has an entry `{}`; give `replace` (`--replace`) to replace it, or another `slug`",
                    slug.unwrap_or_default()
                ),
            ))
        }
        Some(item) if only && item.outcome == ImportOutcome::Refused => Err(refusal(&items)),
        _ => Ok(Json(CatalogImport {
            items,
            next_cursor: gathered.next_cursor,
        })),
    }
}

/// Where none of the servers can be an entry, nothing was asked for that can be done.
fn refuse_where_nothing_is_left(found: &[Found]) -> Answer<()> {
    let refused: Vec<ImportItem> = found
        .iter()
        .filter_map(|found| {
            let problem = found.outcome.as_ref().err()?;
            Some(save::refused(found.name.clone(), problem.to_string()))
        })
        .collect();
    if refused.len() < found.len() {
        return Ok(());
    }
    Err(refusal(&refused))
}

fn refusal(items: &[ImportItem]) -> Refusal {
    let errors: Vec<FieldProblem> = items
        .iter()
        .map(|item| FieldProblem {
            field: item.name.clone(),
            problem: item.problem.clone().unwrap_or_default(),
        })
        .collect();
    let detail: Vec<String> = errors
        .iter()
        .map(|error| match error.field.as_str() {
            "" => error.problem.clone(),
            name => format!("{name}: {}", error.problem),
        })
        .collect();
    Refusal::new(kind::NOT_IMPORTABLE, detail.join("; ")).with_errors(errors)
}
