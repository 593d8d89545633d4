//! The permission of an agent to use an instance (AGT-2).

use std::collections::BTreeMap;

use agentopia_domain::link::LinkPolicy;
use agentopia_domain::{AgentId, InstanceId, LinkId, SecretId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// The agent.
    pub agent_id: AgentId,
    /// The instance.
    pub instance_id: InstanceId,
    /// Whether the agent can use it now.
    pub enabled: bool,
    /// When it was last switched on.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it was last switched off.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// What it lets through and under which names.
    pub policy: LinkPolicy,
    /// The names under which tools were first shown: the server's own name to the name exposed.
    pub exposed_names: BTreeMap<String, String>,
    /// The secrets of its own that it carries: for names of the tool's secrets, which of the account's.
    /// Never their values.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<agentopia_domain::link::Link> for Link {
    fn from(link: agentopia_domain::link::Link) -> Self {
        Self {
            id: link.id,
            agent_id: link.agent_id,
            instance_id: link.instance_id,
            enabled: link.enabled,
            activated_at: link.activated_at,
            deactivated_at: link.deactivated_at,
            policy: link.policy,
            exposed_names: link.exposed_names,
            secrets: link
                .secrets
                .into_iter()
                .map(|(name, secret)| (name, secret.id))
                .collect(),
            created_at: link.created_at,
            updated_at: link.updated_at,
        }
    }
}

/// Makes or changes the link of an agent to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutLinkRequest {
    /// Whether the agent can use it now; yes unless given.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What it lets through and under which names: everything, unless given.
    #[serde(default)]
    pub policy: LinkPolicy,
    /// Secrets that this agent's calls reach the server with, in place of the instance's own: for names
    /// of the tool's secrets the names or ids of secrets of yours. Left out: as it was, none for a new
    /// link. `{}` takes all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, String>>,
}

const fn yes() -> bool {
    true
}

impl Default for PutLinkRequest {
    fn default() -> Self {
        Self {
            enabled: true,
            policy: LinkPolicy::default(),
            secrets: None,
        }
    }
}
