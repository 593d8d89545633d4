//! The catalog.

use std::time::Duration;

use agentopia_api::catalog::{CatalogEntry, CatalogQuery};
use agentopia_api::catalog_import::{CatalogImport, CatalogImportRequest};
use agentopia_domain::catalog::CatalogDefinition;
use reqwest::Method;

use super::{Client, ClientError, read};
use crate::values::word;

/// How long the server may take to ask others.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(330);

impl Client {
    /// The entries that match; paging is done here.
    pub(crate) async fn catalog(
        &self,
        query: &CatalogQuery,
    ) -> Result<Vec<CatalogEntry>, ClientError> {
        let mut pairs = Vec::new();
        pairs.extend(query.search.clone().map(|text| ("search", text)));
        pairs.extend(query.category.clone().map(|text| ("category", text)));
        pairs.extend(query.status.map(|status| ("status", word(&status))));
        self.list(&["catalog"], &pairs, None).await
    }

    /// One entry, by slug or id.
    pub(crate) async fn catalog_entry(&self, reference: &str) -> Result<CatalogEntry, ClientError> {
        self.get(&["catalog", reference], &[]).await
    }

    /// Adds an entry.
    pub(crate) async fn create_catalog_entry(
        &self,
        definition: &CatalogDefinition,
    ) -> Result<CatalogEntry, ClientError> {
        self.change(Method::POST, &["catalog"], definition).await
    }

    /// Replaces the entry of the same slug.
    pub(crate) async fn replace_catalog_entry(
        &self,
        definition: &CatalogDefinition,
    ) -> Result<CatalogEntry, ClientError> {
        self.change(Method::PUT, &["catalog", &definition.slug], definition)
            .await
    }

    /// Has the server read what was found about MCP servers.
    pub(crate) async fn import_catalog(
        &self,
        request: &CatalogImportRequest,
    ) -> Result<CatalogImport, ClientError> {
        let request = self
            .http
            .post(self.url(&["catalog-import"]))
            .json(request)
            .timeout(IMPORT_TIMEOUT);
        read(self.send(request).await?).await
    }
}
