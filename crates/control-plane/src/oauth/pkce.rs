//! Proofs of possession (RFC 7636). `S256` only: a plain one can be read where the request can.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Whether `text` is the form of a challenge: a SHA-256 in base64url.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok_and(|b| b.len() == 32)
}

/// Whether `verifier` is what `challenge` was made from.
#[must_use]
pub fn proves(verifier: &str, challenge: &str) -> bool {
    let has_form = (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    has_form && bool::from(made.as_bytes().ct_eq(challenge.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_holds() {
        let (verifier, challenge) = (
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        );
        assert!(is_challenge(challenge));
        assert!(proves(verifier, challenge));
        assert!(!proves(challenge, challenge));
    }

    #[test]
    fn what_has_not_the_form_proves_nothing() {
        let challenge = |verifier: &str| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        for bad in [
            "",
            "short",
            &"x".repeat(129),
            &"ü".repeat(30),
            &" ".repeat(50),
        ] {
            assert!(!proves(bad, &challenge(bad)), "{bad:?}");
        }
        for bad in [
            "",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c",
            "not a hash",
        ] {
            assert!(!is_challenge(bad), "{bad:?}");
        }
    }
}
