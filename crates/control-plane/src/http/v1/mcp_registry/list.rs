//! `GET /v0.1/servers`: the catalog, a page of servers at a time.
//!
//! An item is a version of an entry. A cursor says behind which entry a page begins, and how many
//! versions of the next one were shown already.

use std::fmt;
use std::str::FromStr;

use agentopia_api::Problem;
use agentopia_api::mcp_registry::{RegistryMetadata, RegistryQuery, RegistryServerList};
use agentopia_domain::catalog::{CatalogEntry, CatalogStatus, ToolVersion};
use agentopia_domain::page::PageRequest;
use agentopia_store::CatalogFilter;
use axum::Json;
use uuid::Uuid;

use super::shown;
use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

const LIST: &str = "mcp_registry";
const USUAL: [CatalogStatus; 4] = [
    CatalogStatus::Available,
    CatalogStatus::Beta,
    CatalogStatus::Experimental,
    CatalogStatus::Deprecated,
];

/// The catalog in the words of an MCP registry: what can be deployed, one item a version. Secrets are
/// there by name only.
#[utoipa::path(
    get,
    path = "/v0.1/servers",
    operation_id = "list_registry_servers",
    tag = "mcp_registry",
    security(("session" = []), ("token" = [])),
    params(RegistryQuery),
    responses(
        (status = 200, description = "A page of servers", body = RegistryServerList),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<RegistryQuery>,
) -> Answer<Json<RegistryServerList>> {
    let limit = cursor::limit(query.limit)?;
    let mut from = cursor::decode::<Position>(LIST, query.cursor.as_deref())?.unwrap_or_default();
    let all = query
        .include_deleted
        .unwrap_or(query.updated_since.is_some());
    let filter = CatalogFilter {
        statuses: if all { Vec::new() } else { USUAL.to_vec() },
        category: None,
        search: query.search.clone(),
        updated_since: query.updated_since,
    };
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut servers = Vec::new();
    let next = 'pages: loop {
        let page = PageRequest {
            after: from.after,
            limit,
        };
        let page = call.store().catalog().list(&filter, page).await?;
        for entry in &page.items {
            let versions = asked(entry, query.version.as_deref());
            for version in versions.iter().skip(from.shown) {
                if servers.len() == wanted {
                    break 'pages Some(from);
                }
                servers.push(shown::one(entry, version)?);
                from.shown += 1;
            }
            from = Position {
                after: Some(entry.id.as_uuid()),
                shown: 0,
            };
        }
        if page.next.is_none() {
            break None;
        }
    };
    Ok(Json(RegistryServerList {
        metadata: RegistryMetadata {
            count: servers.len(),
            next_cursor: next.map(|next| cursor::encode(LIST, next)),
        },
        servers,
    }))
}

fn asked<'a>(entry: &'a CatalogEntry, version: Option<&str>) -> Vec<&'a ToolVersion> {
    let mut versions = shown::versions(entry);
    match version {
        None => {}
        Some("latest") => versions.truncate(1),
        Some(one) => versions.retain(|version| version.version == one),
    }
    versions
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Position {
    after: Option<Uuid>,
    shown: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.after.unwrap_or_default(), self.shown)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (after, shown) = text.split_once('.').ok_or(())?;
        let after: Uuid = after.parse().map_err(|_| ())?;
        Ok(Self {
            after: Some(after).filter(|after| !after.is_nil()),
            shown: shown.parse().map_err(|_| ())?,
        })
    }
}
