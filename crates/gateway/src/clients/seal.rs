//! Session ids: sealed, so that they say nothing and can't be made up, and bound to a principal,
//! so that a stolen one opens nothing without its owner's token. Servers' states go through clients in
//! the same way.
//!
//! The text is base64url of nonce, what is sealed (of an id its 16-byte key) and tag
//! (ChaCha20-Poly1305), with what it is bound to (principal, endpoint) as associated data. Every replica has the key, so any of them can tell a session
//! of its own time from a forgery.

use agentopia_domain::Ambient;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use secrecy::{ExposeSecret, SecretBox};

use super::Target;
use crate::principal::Principal;

/// What a session is found by.
pub(crate) type SessionKey = [u8; 16];

const NONCE: usize = 12;

pub(crate) struct Sealer(ChaCha20Poly1305);

impl Sealer {
    pub(crate) fn new(key: &SecretBox<[u8; 32]>) -> Self {
        Self(ChaCha20Poly1305::new(&Key::from(*key.expose_secret())))
    }

    /// The id to give to the client. `None` never happens (the cipher takes any short text).
    pub(crate) fn seal(
        &self,
        key: SessionKey,
        principal: &Principal,
        target: Target,
        ambient: &Ambient,
    ) -> Option<String> {
        self.seal_for(&bound_to(principal, target), &key, ambient)
    }

    /// The key in an id, if it is ours and this principal's.
    pub(crate) fn open(
        &self,
        id: &str,
        principal: &Principal,
        target: Target,
    ) -> Option<SessionKey> {
        let key = self.open_for(&bound_to(principal, target), id)?;
        key.try_into().ok()
    }

    /// Seals anything that is to come back by way of somebody else, for one purpose: what that is
    /// stands in `binding`.
    pub(crate) fn seal_for(
        &self,
        binding: &str,
        plain: &[u8],
        ambient: &Ambient,
    ) -> Option<String> {
        let nonce = ambient.random::<NONCE>();
        let payload = Payload {
            msg: plain,
            aad: binding.as_bytes(),
        };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).ok()?;
        let mut text = nonce.to_vec();
        text.extend_from_slice(&sealed);
        Some(URL_SAFE_NO_PAD.encode(text))
    }

    /// What was sealed with the same `binding`.
    pub(crate) fn open_for(&self, binding: &str, text: &str) -> Option<Vec<u8>> {
        let raw = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = raw.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload {
            msg: sealed,
            aad: binding.as_bytes(),
        };
        self.0.decrypt(&Nonce::from(nonce), payload).ok()
    }
}

fn bound_to(principal: &Principal, target: Target) -> String {
    let who = principal.owner_key();
    let credential = principal.credential().to_hex();
    match target {
        Target::Agent(id) => format!("agent {id} {who} {credential}"),
        Target::Instance(id) => format!("instance {id} {who} {credential}"),
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::token::TokenHash;

    use super::*;

    #[test]
    fn an_id_opens_for_its_owner_only_and_not_when_touched() {
        let ambient = Ambient::system();
        let sealer = Sealer::new(&SecretBox::new(Box::new([7; 32])));
        let agent_id = ambient.new_id();
        let target = Target::Agent(agent_id);
        let owner = Principal::Agent {
            agent_id,
            token: TokenHash::of("a"),
        };
        let id = sealer.seal([9; 16], &owner, target, &ambient).unwrap();
        assert_eq!(sealer.open(&id, &owner, target), Some([9; 16]));
        let other_token = Principal::Agent {
            agent_id,
            token: TokenHash::of("b"),
        };
        assert_eq!(sealer.open(&id, &other_token, target), None);
        assert_eq!(
            sealer.open(&id, &owner, Target::Instance(ambient.new_id())),
            None
        );
        let other_key = Sealer::new(&SecretBox::new(Box::new([8; 32])));
        assert_eq!(other_key.open(&id, &owner, target), None);
        for at in 0..id.len() {
            let mut touched = id.clone().into_bytes();
            touched[at] = if touched[at] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(touched).unwrap();
            assert_eq!(sealer.open(&touched, &owner, target), None, "byte {at}");
        }
        assert_eq!(sealer.open("", &owner, target), None);
        assert_ne!(sealer.seal([9; 16], &owner, target, &ambient).unwrap(), id);
    }
}
