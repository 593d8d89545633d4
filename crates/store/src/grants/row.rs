//! From rows to domain types.

use agentopia_domain::oauth::{Audience, ClientShown, Grant};
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AgentId, GrantId};
use chrono::{DateTime, Utc};

use crate::convert::{corrupt, time, time_opt};
use crate::entity::grant::Model;
use crate::error::StoreError;

/// A code that somebody presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What it was given for.
    pub grant: Grant,
    /// Where it was sent to.
    pub redirect_uri: String,
    /// What its redeemer has to know the origin of.
    pub challenge: String,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// An access token for an agent's endpoint, for the gateway's route table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginToken {
    /// The token's hash.
    pub hash: TokenHash,
    /// The agent whose endpoint it opens.
    pub agent_id: AgentId,
    /// The grant that it ends with.
    pub grant_id: GrantId,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
}

pub(super) fn to_code(row: Model) -> Result<Code, StoreError> {
    Ok(Code {
        redirect_uri: row.redirect_uri.clone(),
        challenge: row.code_challenge.clone(),
        expires_at: time("oauth_grants.code_expires_at", row.code_expires_at)?,
        grant: to_grant(row)?,
    })
}

pub(super) fn to_grant(row: Model) -> Result<Grant, StoreError> {
    let audience = match (row.agent_id, row.instance_id) {
        (Some(agent), None) => Audience::Agent(agent.into()),
        (None, Some(instance)) => Audience::Instance(instance.into()),
        _ => {
            return Err(corrupt(
                "oauth_grants.agent_id",
                "neither an agent's nor an instance's",
            ));
        }
    };
    Ok(Grant {
        id: row.id.into(),
        account_id: row.account_id.into(),
        user_id: row.user_id.into(),
        audience,
        resource: row.resource,
        client: ClientShown {
            id: row.client_id,
            name: row.client_name,
            host: row.client_host,
        },
        created_at: time("oauth_grants.created_at", row.created_at)?,
        redeemed_at: time_opt("oauth_grants.redeemed_at", row.redeemed_at)?,
        last_used_at: time_opt("oauth_grants.last_used_at", row.last_used_at)?,
        expires_at: time("oauth_grants.expires_at", row.expires_at)?,
        revoked_at: time_opt("oauth_grants.revoked_at", row.revoked_at)?,
    })
}
