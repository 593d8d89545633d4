//! AI agents (AGT-1).

use std::num::NonZeroU32;

use agentopia_domain::AgentId;
use agentopia_domain::name::Name;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Unique in the account.
    pub name: Name,
    /// A few sentences.
    pub description: String,
    /// Whether it sees two tools, `find_tool` and `call_tool`, in place of all its tools, which may be
    /// more than a model can choose from.
    pub search_mode: bool,
    /// How many calls it may make in a day (UTC); null is as many as it likes.
    pub calls_per_day: Option<u32>,
    /// The address of its MCP endpoint.
    pub mcp_url: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Agent {
    /// From the record; `base_url` is the control plane's public address without a slash at its
    /// end.
    #[must_use]
    pub fn new(agent: agentopia_domain::agent::Agent, base_url: &str) -> Self {
        Self {
            mcp_url: mcp_url(base_url, agent.id),
            id: agent.id,
            name: agent.name,
            description: agent.description,
            search_mode: agent.search_mode,
            calls_per_day: agent.calls_per_day.map(NonZeroU32::get),
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

/// The address of an agent's MCP endpoint.
#[must_use]
pub fn mcp_url(base_url: &str, agent: AgentId) -> String {
    format!("{base_url}/agents/{agent}/mcp")
}

/// Makes an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAgentRequest {
    /// Unique in the account.
    pub name: Name,
    /// A few sentences, at most 2,000 characters.
    #[serde(default)]
    pub description: String,
    /// Whether it sees two tools, `find_tool` and `call_tool`, in place of all its tools, which may be
    /// more than a model can choose from.
    #[serde(default)]
    pub search_mode: bool,
    /// How many calls it may make in a day (UTC); 0, or absent, is as many as it likes.
    #[serde(default)]
    pub calls_per_day: u32,
}

/// Changes an agent; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAgentRequest {
    /// Unique in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// A few sentences, at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it sees two tools, `find_tool` and `call_tool`, in place of all its tools, which may be
    /// more than a model can choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_mode: Option<bool>,
    /// How many calls it may make in a day (UTC); 0 is as many as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_day: Option<u32>,
}
