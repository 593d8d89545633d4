//! The catalog as an MCP registry, so that other clients can read it: `/v0.1/servers`, in the words of
//! the MCP Registry's API. Who may read the catalog may read this; nothing can be published here.
//!
//! * [`list`], [`versions`], [`show`]: the operations;
//! * [`shown`]: an entry as a registry's answer (pure).

mod list;
mod show;
mod shown;
mod versions;

use agentopia_catalog_import::publish;
use agentopia_domain::catalog::CatalogEntry;
use agentopia_domain::page::PageRequest;
use agentopia_store::{CatalogFilter, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal};
use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::handler))
        .routes(routes!(versions::handler))
        .routes(routes!(show::handler))
}

/// The entry that a registry would call so.
async fn named(call: &Call, name: &str) -> Answer<CatalogEntry> {
    let gone = || Refusal::not_found("server");
    let catalog = call.store().catalog();
    if let Some(slug) = name
        .strip_prefix(publish::OWN)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        match catalog.by_slug(slug).await {
            Ok(entry) if publish::name(&entry.definition) == name => return Ok(entry),
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The words of the name narrow it down; which entry it is, the name itself says.
    let filter = CatalogFilter {
        search: Some(name.to_owned()),
        ..CatalogFilter::default()
    };
    let mut after = None;
    loop {
        let page = catalog
            .list(&filter, PageRequest { after, limit: 200 })
            .await?;
        let mut entries = page.items.into_iter();
        if let Some(entry) = entries.find(|entry| publish::name(&entry.definition) == name) {
            return Ok(entry);
        }
        after = Some(page.next.ok_or_else(gone)?);
    }
}
