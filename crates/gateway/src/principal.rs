//! Who is calling, and what sessions are bound to.

use agentopia_domain::token::TokenHash;
use agentopia_domain::{AgentId, UserId};
use async_trait::async_trait;

use crate::routes::{InstanceRoute, TokenRoute};

/// Decides whether a person may use an instance's own endpoint. The gateway knows agent tokens
/// only; personal tokens and browser sessions are the control plane's.
#[async_trait]
pub trait PrincipalAuthoriser: Send + Sync + 'static {
    /// Who sent these headers, if they may use `instance` (its owner, or one it is shared with);
    /// `None` otherwise, for whatever reason. Asked at every request of a person, so it answers
    /// from memory where it can. Cookies are safe here: the Origin was checked before.
    async fn authorise(
        &self,
        headers: &http::HeaderMap,
        instance: &InstanceRoute,
    ) -> Option<PersonPrincipal>;

    /// What the access token of a browser login at an agent's endpoint opens now, where the route
    /// table does not have it (yet).
    async fn login(&self, _token: TokenHash) -> Option<TokenRoute> {
        None
    }
}

/// A person that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PersonPrincipal {
    /// Who.
    pub user_id: UserId,
    /// The hash of the token or session that proved it: MCP sessions are bound to it.
    pub credential: TokenHash,
}

/// Lets no person in: agents only.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgentsOnly;

#[async_trait]
impl PrincipalAuthoriser for AgentsOnly {
    async fn authorise(
        &self,
        _headers: &http::HeaderMap,
        _instance: &InstanceRoute,
    ) -> Option<PersonPrincipal> {
        None
    }
}

/// Who is calling. Sessions belong to exactly one principal: an agent with one of its tokens or a
/// person with one of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Principal {
    Agent { agent_id: AgentId, token: TokenHash },
    Person(PersonPrincipal),
}

impl Principal {
    pub(crate) const fn agent_id(&self) -> Option<AgentId> {
        match self {
            Self::Agent { agent_id, .. } => Some(*agent_id),
            Self::Person(_) => None,
        }
    }

    pub(crate) const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::Agent { .. } => None,
            Self::Person(person) => Some(person.user_id),
        }
    }

    /// The hash of what proved it.
    pub(crate) const fn credential(&self) -> TokenHash {
        match self {
            Self::Agent { token, .. } => *token,
            Self::Person(person) => person.credential,
        }
    }

    /// Whose limits count: all tokens of an agent share them.
    pub(crate) fn owner_key(&self) -> uuid::Uuid {
        match self {
            Self::Agent { agent_id, .. } => agent_id.as_uuid(),
            Self::Person(person) => person.user_id.as_uuid(),
        }
    }
}
