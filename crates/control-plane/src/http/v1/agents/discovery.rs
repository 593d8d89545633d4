//! `GET /api/v1/agents/{id}/discovery`: what an agent can use right now (AGT-12).

use std::collections::HashMap;

use agentopia_api::Problem;
use agentopia_api::agent::mcp_url;
use agentopia_api::discovery::{DiscoveredServer, DiscoveredTool, Discovery};
use agentopia_domain::instance::Instance;
use agentopia_domain::link::Link;
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::{AgentId, InstanceId};
use agentopia_store::LinkFilter;
use axum::Json;
use serde_json::json;

use crate::http::extract::{Call, PathId};
use crate::problem::Answer;
use crate::state::{ServedInstance, ServedTool};

/// Everything that an agent can use right now: endpoints, capabilities and tools of its active
/// links. A server that does not answer is listed with its error.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/discovery",
    operation_id = "agent_discovery",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(("id" = AgentId, Path, description = "The agent")),
    responses(
        (status = 200, description = "What it can use", body = Discovery),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<AgentId>) -> Answer<Json<Discovery>> {
    let agent = call.store().agents().get(call.account(), id).await?;
    let links = active_links(&call, id).await?;
    let mut served: HashMap<InstanceId, ServedInstance> = call
        .state
        .gateway
        .discover(&agent)
        .await?
        .into_iter()
        .map(|served| (served.instance_id, served))
        .collect();
    let base_url = call.state.config.base_url();
    let mut servers = Vec::with_capacity(links.len());
    for link in links {
        let instance = call
            .store()
            .instances()
            .get(call.account(), link.instance_id)
            .await?;
        servers.push(server(
            &link,
            instance,
            served.remove(&link.instance_id),
            &base_url,
        ));
    }
    Ok(Json(Discovery {
        agent_id: id,
        agent_name: agent.name,
        mcp_url: mcp_url(&base_url, id),
        servers,
    }))
}

async fn active_links(call: &Call, agent: AgentId) -> Answer<Vec<Link>> {
    let filter = LinkFilter {
        agent_id: Some(agent),
        ..LinkFilter::default()
    };
    let mut links = Vec::new();
    let mut after = None;
    loop {
        let request = PageRequest {
            after,
            limit: MAX_LIMIT,
        };
        let page = call
            .store()
            .links()
            .list(call.account(), filter, request)
            .await?;
        links.extend(page.items.into_iter().filter(|link| link.enabled));
        after = page.next;
        if after.is_none() {
            return Ok(links);
        }
    }
}

fn server(
    link: &Link,
    instance: Instance,
    served: Option<ServedInstance>,
    base_url: &str,
) -> DiscoveredServer {
    let (error, capabilities, tools) = match served {
        Some(served) => (served.error, served.capabilities, served.tools),
        None => (
            Some("the gateway does not serve it yet; try again in a moment".to_owned()),
            json!({}),
            Vec::new(),
        ),
    };
    DiscoveredServer {
        link_id: link.id,
        instance_id: instance.id,
        mcp_url: format!("{base_url}/instances/{}/mcp", instance.id),
        instance_name: instance.name,
        status: instance.status,
        running_version: instance.running_version,
        error: error.or(instance.error_message),
        capabilities,
        tools: tools.into_iter().map(|served| tool(link, served)).collect(),
    }
}

fn tool(link: &Link, tool: ServedTool) -> DiscoveredTool {
    let described = link.policy.described_tools.get(&tool.upstream_name);
    DiscoveredTool {
        name: tool.name,
        description: described.cloned().or(tool.description),
        upstream_name: tool.upstream_name,
        input_schema: tool.input_schema,
    }
}
