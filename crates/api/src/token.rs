//! Bearer tokens: personal ones for the API, agent tokens for the MCP endpoints. A token is shown
//! once, when it is made.

use agentopia_domain::name::Name;
use agentopia_domain::token::{ApiToken, Scope, TokenSubject};
use agentopia_domain::{AgentId, ApiTokenId};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::expose::expose;

/// The record of a token, without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// Its id.
    pub id: ApiTokenId,
    /// What it is for.
    pub name: Name,
    /// For a personal token: what it may do. `write` includes `read`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// For an agent's token: which agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl From<ApiToken> for Token {
    fn from(token: ApiToken) -> Self {
        let (scopes, agent_id) = match token.subject {
            TokenSubject::Personal { scopes } => (scopes, None),
            TokenSubject::Agent(agent) => (Vec::new(), Some(agent)),
        };
        Self {
            id: token.id,
            name: token.name,
            scopes,
            agent_id,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: token.last_used_at,
            created_at: token.created_at,
        }
    }
}

/// Makes a personal token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePersonalTokenRequest {
    /// What it is for.
    pub name: Name,
    /// What it may do; at least one. `write` includes `read`.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// Seconds until it ends by itself, at most 366 days; 90 days unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31_622_400)]
    pub expires_in_seconds: Option<u64>,
}

/// Makes a token for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAgentTokenRequest {
    /// What it is for.
    pub name: Name,
    /// Seconds until it ends by itself; it has no end unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub expires_in_seconds: Option<u64>,
}

/// A token just made. This is the only time it is shown.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedToken {
    /// The token itself.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String)]
    pub token: SecretString,
    /// Its record.
    pub record: Token,
}
