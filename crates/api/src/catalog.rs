//! The catalog of tools (TOOL-1). What a person writes is
//! [`agentopia_domain::catalog::CatalogDefinition`]: requests to add or replace an entry are that.

use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::{CatalogDefinition, CatalogStatus};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A catalog entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// The fields of the definition and ours in one object. Derived it would be "all of the definition
/// and of ours", which no entry satisfies: the definition allows no further fields.
impl PartialSchema for CatalogEntry {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut entry)) = CatalogDefinition::schema() else {
            return CatalogDefinition::schema();
        };
        entry.description = Some("A catalog entry.".to_owned());
        let id = Ref::builder()
            .ref_location_from_schema_name(CatalogEntryId::name())
            .description(Some("Its id."))
            .build();
        let time = |what| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .description(Some(what))
                .build()
        };
        let ours: [(&str, RefOr<Schema>); 3] = [
            ("id", id.into()),
            ("created_at", time("When it was added.").into()),
            ("updated_at", time("When it last changed.").into()),
        ];
        for (name, schema) in ours {
            entry.properties.insert(name.to_owned(), schema);
            entry.required.push(name.to_owned());
        }
        RefOr::T(Schema::Object(entry))
    }
}

impl ToSchema for CatalogEntry {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((CatalogEntryId::name().into(), CatalogEntryId::schema()));
        CatalogDefinition::schemas(schemas);
    }
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
