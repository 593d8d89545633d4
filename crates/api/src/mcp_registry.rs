//! The catalog as an MCP registry shows it: the answers of `/v0.1/servers`, in that API's own words.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which servers are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RegistryQuery {
    /// `metadata.nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items, 1 to 200; 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Words to find in name or description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only what changed since; archived entries are shown as deleted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_since: Option<DateTime<Utc>>,
    /// `latest`, or one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether archived entries are shown too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_deleted: Option<bool>,
}

/// Servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegistryServerList {
    /// One item a version of a server.
    pub servers: Vec<RegistryServer>,
    /// About the page.
    pub metadata: RegistryMetadata,
}

/// About a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryMetadata {
    /// Where the next page begins; not there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// How many items the page has.
    pub count: usize,
}

/// One version of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegistryServer {
    /// Its `server.json`.
    #[schema(value_type = Object)]
    pub server: serde_json::Value,
    /// What the catalog says of it: its status, its times, whether it is the default version.
    #[serde(rename = "_meta")]
    #[schema(value_type = Object)]
    pub meta: serde_json::Value,
}
