//! `GET /v0.1/servers/{name}/versions`: all versions of one server.

use agentopia_api::Problem;
use agentopia_api::mcp_registry::{RegistryMetadata, RegistryServerList};
use axum::Json;

use super::{named, shown};
use crate::http::extract::{Call, PathText};
use crate::problem::Answer;

/// All versions of a server, the default one first.
#[utoipa::path(
    get,
    path = "/v0.1/servers/{name}/versions",
    operation_id = "list_registry_versions",
    tag = "mcp_registry",
    security(("session" = []), ("token" = [])),
    params(("name" = String, Path, description = "Name in the registry, percent-encoded: com.example%2Fweather")),
    responses(
        (status = 200, description = "Its versions", body = RegistryServerList),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathText(name): PathText,
) -> Answer<Json<RegistryServerList>> {
    let entry = named(&call, &name).await?;
    let servers = shown::versions(&entry)
        .into_iter()
        .map(|version| shown::one(&entry, version))
        .collect::<Answer<Vec<_>>>()?;
    Ok(Json(RegistryServerList {
        metadata: RegistryMetadata {
            next_cursor: None,
            count: servers.len(),
        },
        servers,
    }))
}
