//! Import into the catalog (TOOL-2): what people find about MCP servers, made into entries.

use agentopia_domain::catalog::{CatalogDefinition, Transport};
use serde::{Deserialize, Serialize};

/// What to import: `source` or `document`, one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogImportRequest {
    /// An image (`host/path:tag`), `npm:NAME[@VERSION]`, `pypi:NAME[@VERSION]`, the address of a
    /// `server.json`, the address of an MCP server, or `registry:URL` of an MCP registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The text of a `server.json` or of a client's configuration with `mcpServers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The form to take where a server comes in several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<ImportForm>,
    /// How the server speaks, where its description does not say: stdio otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The slug of the entry, where it is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Of a registry: only servers with this in their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Of a registry: only the server of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Of a registry: this version of `server` in place of the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of a registry: `next_cursor` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Of a registry: at most so many servers, 1 to 100; 50 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// Replace entries that are there. Their versions stay, as far as they are still of the same form.
    pub replace: bool,
    /// Save nothing: show what would be saved, so that it can be corrected.
    pub dry_run: bool,
}

/// The forms in which a server can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportForm {
    /// A container image.
    Oci,
    /// A package for Node.
    Npm,
    /// A package for Python.
    Pypi,
    /// The address of a server that runs elsewhere.
    Remote,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogImport {
    /// One item a server.
    pub items: Vec<ImportItem>,
    /// Of a registry: where the next page begins; not there at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What became of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ImportItem {
    /// What the source calls it.
    pub name: String,
    /// What was done.
    pub outcome: ImportOutcome,
    /// The entry, as it is in the catalog or would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<CatalogDefinition>,
    /// What was decided or left out, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there is no entry of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What was done with one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// Nothing was saved, as was asked.
    Draft,
    /// It is new in the catalog.
    Added,
    /// It took the place of the entry with its slug.
    Replaced,
    /// It was in the catalog just so.
    Unchanged,
    /// There is another entry of its slug, which was left alone.
    Exists,
    /// It can't be an entry.
    Refused,
}
