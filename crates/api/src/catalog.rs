//! The catalog of tools (TOOL-1). What a person writes is
//! [`agentopia_domain::catalog::CatalogDefinition`]: requests to add or replace an entry are that.

use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::{CatalogDefinition, CatalogStatus};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A catalog entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogEntry {
    /// Its id.
    pub id: CatalogEntryId,
    /// What a person wrote.
    #[serde(flatten)]
    pub definition: CatalogDefinition,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<agentopia_domain::catalog::CatalogEntry> for CatalogEntry {
    fn from(entry: agentopia_domain::catalog::CatalogEntry) -> Self {
        Self {
            id: entry.id,
            definition: entry.definition,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

/// Which entries are asked for. Archived ones are left out unless `status` asks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CatalogQuery {
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items, 1 to 200; 50 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Words to find in slug, name or description, without case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CatalogStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_what_it_wrote() {
        let text = r#"{"slug":"time","name":"Time","packaging":{"type":"docker_image","image":"a/time"},
            "transport":{"type":"stdio"},"versions":[{"version":"1","tag":"1"}],"default_version":"1",
            "config":{"bindings":[{"property":"zone","to":"arg","flag":"--tz"}]},
            "secrets":[{"name":"KEY"}],"status":"available"}"#;
        let entry = CatalogEntry {
            id: uuid_of(1),
            definition: serde_json::from_str(text).unwrap(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        let wire = serde_json::to_string(&entry).unwrap();
        assert!(wire.contains(r#""slug":"time""#), "flat: {wire}");
        assert_eq!(serde_json::from_str::<CatalogEntry>(&wire).unwrap(), entry);
    }

    fn uuid_of(n: u128) -> CatalogEntryId {
        format!("{n:032x}").parse().unwrap()
    }
}
