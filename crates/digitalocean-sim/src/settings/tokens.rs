//! Who may call: tokens and their scopes.
//!
//! Scopes are DigitalOcean's own words (`droplet:create`); which call needs which stands in the
//! contract, under `security`.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// The token that may do anything, unless others are configured. No secret: it opens nothing but a
/// simulator.
pub const FULL_TOKEN: &str = "dop_v1_simulated_full_access";
/// The token that may only read.
pub const READ_TOKEN: &str = "dop_v1_simulated_read_only";

/// A token of the simulated account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the journal calls it.
    pub name: String,
    /// What callers send after `Bearer`. Never shown.
    #[serde(skip_serializing)]
    pub secret: SecretString,
    /// What it may do.
    pub scopes: Scopes,
}

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scopes {
    /// Everything.
    Full,
    /// Every scope that ends in `:read`.
    Read,
    /// Exactly these.
    Only(BTreeSet<String>),
}

impl Scopes {
    /// Whether `scope` is among them.
    #[must_use]
    pub fn allow(&self, scope: &str) -> bool {
        match self {
            Self::Full => true,
            Self::Read => scope.ends_with(":read"),
            Self::Only(scopes) => scopes.contains(scope),
        }
    }
}

/// One token for everything, one for reading.
pub(crate) fn standard_tokens() -> Vec<Token> {
    let token = |name: &str, secret: &str, scopes| Token {
        name: name.to_owned(),
        secret: secret.into(),
        scopes,
    };
    vec![
        token("full", FULL_TOKEN, Scopes::Full),
        token("read", READ_TOKEN, Scopes::Read),
    ]
}

/// The token that an `Authorization` header holds, if it is one of ours.
pub(crate) fn find_token<'a>(
    tokens: &'a [Token],
    authorization: Option<&str>,
) -> Option<&'a Token> {
    let (scheme, given) = authorization?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    tokens
        .iter()
        .find(|token| token.secret.expose_secret() == given.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_say_what_a_token_may_do() {
        assert!(Scopes::Full.allow("droplet:delete"));
        assert!(Scopes::Read.allow("droplet:read"));
        assert!(!Scopes::Read.allow("droplet:create"));
        let only = Scopes::Only(BTreeSet::from(["tag:create".to_owned()]));
        assert!(only.allow("tag:create") && !only.allow("tag:read"));
    }

    #[test]
    fn only_a_known_bearer_is_let_in() {
        let tokens = standard_tokens();
        let name = |header: Option<&str>| find_token(&tokens, header).map(|t| t.name.as_str());
        assert_eq!(name(Some(&format!("bearer {READ_TOKEN}"))), Some("read"));
        assert_eq!(name(Some(&format!("Basic {READ_TOKEN}"))), None);
        assert_eq!(name(Some("Bearer nobody")), None);
        assert_eq!(name(None), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", standard_tokens());
        assert!(!shown.contains("dop_v1"), "{shown}");
        let written = serde_json::to_string(&standard_tokens()).unwrap();
        assert!(!written.contains("dop_v1"), "{written}");
    }
}
