//! The permission of an agent to use an instance (AGT-2).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, AgentId, InstanceId, LinkId};

/// What a link lets through and under which names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPolicy {
    /// The tools that the agent may see, by the server's own names; `None` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<Vec<String>>,
    /// Other names for tools: the server's own name to the name shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renamed_tools: BTreeMap<String, String>,
    /// Other descriptions of tools, for this agent: the server's own name to the text shown. Models choose
    /// by it, so that an agent can be told what a tool is for where it works.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub described_tools: BTreeMap<String, String>,
    /// Whether every name is prefixed with the instance's, not only on collision.
    #[serde(default)]
    pub always_prefix: bool,
}

/// The record of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// Whose agent it is.
    pub account_id: AccountId,
    /// The agent.
    pub agent_id: AgentId,
    /// The instance; unique together with the agent.
    pub instance_id: InstanceId,
    /// Whether the agent can use it now.
    pub enabled: bool,
    /// When it was last switched on.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it was last switched off.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// What it lets through.
    pub policy: LinkPolicy,
    /// The names under which tools were first shown, so that they stay: the server's own name to
    /// the name exposed.
    pub exposed_names: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}
