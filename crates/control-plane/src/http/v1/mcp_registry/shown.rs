//! Entries as a registry's answer. Pure.

use agentopia_api::mcp_registry::RegistryServer;
use agentopia_catalog_import::{publish, server_json};
use agentopia_domain::catalog::{CatalogEntry, ToolVersion};
use serde_json::json;

use crate::problem::{Answer, Refusal};

/// One version of an entry.
pub(super) fn one(entry: &CatalogEntry, version: &ToolVersion) -> Answer<RegistryServer> {
    let definition = &entry.definition;
    let server = serde_json::to_value(publish::server(definition, version));
    Ok(RegistryServer {
        server: server.map_err(Refusal::internal)?,
        meta: json!({server_json::OFFICIAL: {
            "status": publish::status(definition.status),
            "statusChangedAt": entry.updated_at,
            "publishedAt": entry.created_at,
            "updatedAt": entry.updated_at,
            "isLatest": version.version == definition.default_version,
        }}),
    })
}

/// The versions of an entry, the default one first.
pub(super) fn versions(entry: &CatalogEntry) -> Vec<&ToolVersion> {
    let definition = &entry.definition;
    let is_default = |version: &&ToolVersion| version.version == definition.default_version;
    let first = definition.versions.iter().filter(is_default);
    let others = definition
        .versions
        .iter()
        .filter(|version| !is_default(version));
    first.chain(others).collect()
}
