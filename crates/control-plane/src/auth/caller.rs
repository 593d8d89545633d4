//! A caller who is signed in.

use agentopia_domain::event::Actor;
use agentopia_domain::token::{ApiToken, Scope, TokenSubject};
use agentopia_domain::user::User;
use agentopia_domain::{AccountId, SessionId};
use chrono::{DateTime, Utc};

use super::permission::Means;

/// Who is calling, and by what they showed it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The person.
    pub user: User,
    /// By what.
    pub by: SignedInBy,
}

/// By what a caller is signed in.
#[derive(Debug, Clone)]
pub enum SignedInBy {
    /// A browser session.
    Session {
        /// Which.
        id: SessionId,
        /// What changes made by cookie have to show.
        csrf_token: String,
        /// When it ends.
        expires_at: DateTime<Utc>,
    },
    /// A personal token.
    Token(Box<ApiToken>),
}

impl Caller {
    /// Their account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.user.id.into()
    }

    /// As the timeline names them.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::User(self.user.id)
    }

    /// As the table of permissions wants it.
    #[must_use]
    pub fn means(&self) -> Means<'_> {
        match &self.by {
            SignedInBy::Session { .. } => Means::Session,
            SignedInBy::Token(token) => Means::Token(scopes_of(token)),
        }
    }

    /// When the session or token ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        match &self.by {
            SignedInBy::Session { expires_at, .. } => Some(*expires_at),
            SignedInBy::Token(token) => token.expires_at,
        }
    }
}

/// What a token may do at the API: an agent's token nothing.
fn scopes_of(token: &ApiToken) -> &[Scope] {
    match &token.subject {
        TokenSubject::Personal { scopes } => scopes,
        TokenSubject::Agent(_) => &[],
    }
}
