//! Browser logins of MCP clients (AGT-7): what a person allowed which program to use.
//!
//! A grant begins when a person agrees on the consent page and is what they see and take back. Its
//! code, access tokens and refresh tokens are stored as hashes and end with it.

use chrono::{DateTime, Utc};

use crate::ids::{AccountId, AgentId, GrantId, InstanceId, UserId};
use crate::token::TokenHash;

/// The endpoint that a grant opens. Exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// An agent's endpoint, by either of its transports.
    Agent(AgentId),
    /// The endpoint of one instance.
    Instance(InstanceId),
}

impl Audience {
    /// The agent, if it is one's endpoint.
    #[must_use]
    pub const fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(id) => Some(id),
            Self::Instance(_) => None,
        }
    }

    /// The instance, if it is one's endpoint.
    #[must_use]
    pub const fn instance(self) -> Option<InstanceId> {
        match self {
            Self::Agent(_) => None,
            Self::Instance(id) => Some(id),
        }
    }
}

/// The program that was allowed in, as it was shown on the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientShown {
    /// Its `client_id`: one that we gave, or the address of its metadata document.
    pub id: String,
    /// The name that it gives itself. Nobody has verified it.
    pub name: String,
    /// Where codes are sent to: the host of the redirect address, which was verified.
    pub host: String,
}

/// What a person allowed a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Whose endpoint it opens.
    pub account_id: AccountId,
    /// Who agreed.
    pub user_id: UserId,
    /// What it opens.
    pub audience: Audience,
    /// The same as an address, exactly as tokens are bound to it (RFC 8707).
    pub resource: String,
    /// Whom it was given.
    pub client: ClientShown,
    /// When the person agreed.
    pub created_at: DateTime<Utc>,
    /// When its code was turned into tokens.
    pub redeemed_at: Option<DateTime<Utc>>,
    /// When tokens were last given.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it ends unless it is used.
    pub expires_at: DateTime<Utc>,
    /// When it was taken back, or ended because a code or token came twice.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether its tokens open anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.redeemed_at.is_some() && now < self.expires_at
    }

    /// What MCP sessions are bound to: the grant and not one of its tokens, so that a session goes
    /// on when its client gets the next token.
    #[must_use]
    pub fn credential(&self) -> TokenHash {
        credential(self.id)
    }
}

/// See [`Grant::credential`].
#[must_use]
pub fn credential(grant: GrantId) -> TokenHash {
    TokenHash::of(&format!("agentopia grant v1:{grant}"))
}
