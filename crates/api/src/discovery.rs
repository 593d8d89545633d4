//! Everything an orchestrator needs to know of an agent in one answer (AGT-12).

use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::name::Name;
use agentopia_domain::{AgentId, InstanceId, LinkId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an agent can use right now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Discovery {
    /// Which agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: Name,
    /// The address of its MCP endpoint; it wants an agent's token.
    pub mcp_url: String,
    /// One item for each active link.
    pub servers: Vec<DiscoveredServer>,
}

/// One instance that an agent can use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiscoveredServer {
    /// The link that allows it.
    pub link_id: LinkId,
    /// The instance.
    pub instance_id: InstanceId,
    /// Its friendly name.
    pub instance_name: Name,
    /// Where it stands.
    pub status: InstanceStatus,
    /// The version actually running.
    pub running_version: Option<String>,
    /// The address of its own MCP endpoint.
    pub mcp_url: String,
    /// Why it can't be used right now, if it can't.
    pub error: Option<String>,
    /// The server's `capabilities`.
    pub capabilities: Value,
    /// Its tools, under the names that the agent sees.
    pub tools: Vec<DiscoveredTool>,
}

/// One tool that an agent can use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiscoveredTool {
    /// The name the agent uses.
    pub name: String,
    /// The server's own name for it.
    pub upstream_name: String,
    /// The server's description.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
}
