//! `GET /v0.1/servers/{name}/versions/{version}`: one version of one server.

use agentopia_api::Problem;
use agentopia_api::mcp_registry::RegistryServer;
use axum::Json;

use super::{named, shown};
use crate::http::extract::{Call, PathTexts};
use crate::problem::{Answer, Refusal};

/// One version of a server; `latest` is the default one.
#[utoipa::path(
    get,
    path = "/v0.1/servers/{name}/versions/{version}",
    operation_id = "show_registry_server",
    tag = "mcp_registry",
    security(("session" = []), ("token" = [])),
    params(
        ("name" = String, Path, description = "Name in the registry, percent-encoded: com.example%2Fweather"),
        ("version" = String, Path, description = "A version, or `latest`"),
    ),
    responses(
        (status = 200, description = "The version", body = RegistryServer),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathTexts(name, version): PathTexts,
) -> Answer<Json<RegistryServer>> {
    let entry = named(&call, &name).await?;
    let definition = &entry.definition;
    let asked = match version.as_str() {
        "latest" => &definition.default_version,
        other => other,
    };
    let version = definition
        .version(asked)
        .ok_or_else(|| Refusal::not_found("version"))?;
    Ok(Json(shown::one(&entry, version)?))
}
