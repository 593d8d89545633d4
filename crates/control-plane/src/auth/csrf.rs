//! The defence against changes made by foreign pages with a visitor's cookie.
//!
//! The token is derived from the session's own secret, so it can be given again after a reload
//! without being stored, and a page that can't read the answer to signing in can't know it (the
//! cookie is `HttpOnly`, and SHA-256 can't be turned back).

use agentopia_domain::token::TokenHash;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

/// The token of the session whose cookie has `secret`.
#[must_use]
pub fn token(secret: &SecretString) -> String {
    TokenHash::of(&format!("agentopia csrf v1:{}", secret.expose_secret())).to_hex()
}

/// Compares in constant time.
#[must_use]
pub fn same(expected: &str, sent: &str) -> bool {
    expected.as_bytes().ct_eq(sent.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_session() {
        let (one, two) = (SecretString::from("one"), SecretString::from("two"));
        assert!(same(&token(&one), &token(&one)));
        assert!(!same(&token(&one), &token(&two)));
        assert!(!same(&token(&one), ""));
        assert!(!token(&one).contains("one"));
    }
}
