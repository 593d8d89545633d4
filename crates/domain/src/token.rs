//! Bearer tokens: recognisable, with a checksum, and stored only as a hash (SEC-4).
//!
//! A token is `<prefix>_<43 characters of base62-safe base64><6 hex of checksum>`. The prefix lets
//! secret scanners find leaks, the checksum lets us refuse typing errors without asking the
//! database. 256 random bits need no slow hash: SHA-256 is what is stored and looked up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ambient::Ambient;
use crate::ids::{AccountId, AgentId, ApiTokenId, UserId};
use crate::name::Name;

/// Whom a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `agt_`: an agent, at the MCP endpoints only.
    Agent,
    /// `pat_`: a person, at the API.
    Personal,
    /// `dtma_`: a machine.
    Dtma,
    /// `enr_`: a machine that has yet to enrol; used once.
    Enrolment,
    /// `oat_`: an MCP client that somebody let in by browser login, at one endpoint, for an hour.
    Access,
    /// `ort_`: the same client, when it wants the next `oat_`; used once.
    Refresh,
    /// `oac_`: the same client, once, within a minute of the consent.
    Code,
}

impl TokenKind {
    const ALL: [Self; 7] = [
        Self::Agent,
        Self::Personal,
        Self::Dtma,
        Self::Enrolment,
        Self::Access,
        Self::Refresh,
        Self::Code,
    ];

    /// What the token begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "agt_",
            Self::Personal => "pat_",
            Self::Dtma => "dtma_",
            Self::Enrolment => "enr_",
            Self::Access => "oat_",
            Self::Refresh => "ort_",
            Self::Code => "oac_",
        }
    }
}

/// The SHA-256 of a token: what is stored and looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a whole token, prefix included.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Lower-case hex, as stored.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Reads what [`Self::to_hex`] wrote.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .ok()
            .map(|()| Self(bytes))
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.ct_eq(&other.0).into()
    }
}

/// A token just made: shown once, then only its hash is left.
#[derive(Debug)]
pub struct NewToken {
    /// The token itself.
    pub secret: SecretString,
    /// What to store.
    pub hash: TokenHash,
}

/// Makes a token of 256 random bits.
#[must_use]
pub fn mint(kind: TokenKind, ambient: &Ambient) -> NewToken {
    let random = zeroize::Zeroizing::new(ambient.random::<32>());
    let body = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.encode(*random));
    let token = format!("{}{}{}", kind.prefix(), *body, checksum(kind, &body));
    NewToken {
        hash: TokenHash::of(&token),
        secret: SecretString::from(token),
    }
}

/// What kind of token `text` is, if its form and checksum are right. Says nothing about whether
/// it is known.
#[must_use]
pub fn kind_of(text: &str) -> Option<TokenKind> {
    TokenKind::ALL.into_iter().find(|kind| {
        text.strip_prefix(kind.prefix()).is_some_and(|rest| {
            rest.len() == 49 && rest.is_ascii() && checksum(*kind, &rest[..43]) == rest[43..]
        })
    })
}

/// The hash of `token`, if it is of `kind` by its form.
#[must_use]
pub fn hash_if(kind: TokenKind, token: &SecretString) -> Option<TokenHash> {
    (kind_of(token.expose_secret()) == Some(kind)).then(|| TokenHash::of(token.expose_secret()))
}

fn checksum(kind: TokenKind, body: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(kind.prefix());
    hasher.update(body);
    hex::encode(&hasher.finalize()[..3])
}

/// What a personal token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read everything its owner can read.
    Read,
    /// Change the owner's tools, agents and secrets.
    Write,
    /// What admins may do, if the owner is one.
    Admin,
}

/// Whom a stored token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSubject {
    /// The person who made it.
    Personal {
        /// What it may do.
        scopes: Vec<Scope>,
    },
    /// One agent.
    Agent(AgentId),
}

/// The record of a token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Who made it.
    pub user_id: UserId,
    /// What it is for, in its maker's words.
    pub name: Name,
    /// Whom it speaks for.
    pub subject: TokenSubject,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl ApiToken {
    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_own_kind_only() {
        let ambient = Ambient::system();
        for kind in TokenKind::ALL {
            let token = mint(kind, &ambient);
            assert_eq!(kind_of(token.secret.expose_secret()), Some(kind));
            assert_eq!(TokenHash::of(token.secret.expose_secret()), token.hash);
        }
    }

    #[test]
    fn a_typing_error_is_seen() {
        let token = mint(TokenKind::Agent, &Ambient::system());
        let text = token.secret.expose_secret();
        let last = if text.ends_with('0') { "1" } else { "0" };
        assert_eq!(kind_of(&format!("{}{last}", &text[..text.len() - 1])), None);
        assert_eq!(kind_of(&text.replacen("agt_", "pat_", 1)), None);
        assert_eq!(kind_of("agt_ü"), None);
        assert_eq!(kind_of(""), None);
    }

    #[test]
    fn debug_output_hides_the_token() {
        let token = mint(TokenKind::Personal, &Ambient::system());
        let body = &token.secret.expose_secret()[4..20];
        assert!(!format!("{token:?}").contains(body));
    }
}
