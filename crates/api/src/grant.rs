//! Grants: MCP clients that somebody let in by browser login.

use agentopia_domain::{AgentId, GrantId, InstanceId, oauth};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A program that may use one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// What the program calls itself; nobody has verified it.
    pub client_name: String,
    /// Where the program was answered at when it was let in.
    pub client_host: String,
    /// The program's OAuth client id.
    pub client_id: String,
    /// The agent, if it is one's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The instance, if it is one's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// The endpoint's address.
    pub resource: String,
    /// When somebody agreed.
    pub created_at: DateTime<Utc>,
    /// When the program last got tokens.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it ends unless the program uses it.
    pub expires_at: DateTime<Utc>,
}

impl From<oauth::Grant> for Grant {
    fn from(grant: oauth::Grant) -> Self {
        Self {
            id: grant.id,
            client_name: grant.client.name,
            client_host: grant.client.host,
            client_id: grant.client.id,
            agent_id: grant.audience.agent(),
            instance_id: grant.audience.instance(),
            resource: grant.resource,
            created_at: grant.created_at,
            last_used_at: grant.last_used_at,
            expires_at: grant.expires_at,
        }
    }
}
