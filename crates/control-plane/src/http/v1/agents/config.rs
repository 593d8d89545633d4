//! `GET /api/v1/agents/{id}/config`: ready-made configuration for MCP clients (AGT-9).

use agentopia_api::Problem;
use agentopia_api::agent::mcp_url;
use agentopia_api::client_config::{ClientConfig, ClientConfigQuery, server_name};
use agentopia_domain::AgentId;
use axum::Json;

use crate::http::extract::{Call, Params, PathId};
use crate::problem::Answer;

/// How to configure an MCP client for an agent. There is never a token in it, only its place.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/config",
    operation_id = "agent_config",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent"), ClientConfigQuery),
    responses(
        (status = 200, description = "The configuration", body = ClientConfig),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<AgentId>,
    Params(query): Params<ClientConfigQuery>,
) -> Answer<Json<ClientConfig>> {
    let agent = call.store().agents().get(call.account(), id).await?;
    Ok(Json(ClientConfig::new(
        query.client,
        &server_name(agent.name.as_str()),
        &mcp_url(&call.state.config.base_url(), id),
    )))
}
