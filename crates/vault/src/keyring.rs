//! Master keys: the current one, with which values are sealed, and those before it, which still
//! open what they sealed.
//!
//! As text, a keyring has one key a line, `agk1:` and 32 bytes in URL-safe base64 without padding,
//! the current one first; empty lines and lines that begin with `#` are passed over. To rotate, a
//! new line is put on top ([`Keyring::rotate_file`] does so), then everything is wrapped anew, then the
//! old line goes.

use std::fmt;

use agentopia_domain::Ambient;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::VaultError;

/// What a key's line begins with: a secret scanner finds leaked keys by it.
const PREFIX: &str = "agk1:";

/// Which master key; says nothing about the key itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct MasterKey {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

impl MasterKey {
    /// A key's id is a hash of it, so the same key has the same id wherever it comes from. 256
    /// random bits can't be guessed from their hash.
    fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let digest = Sha256::new()
            .chain_update(b"agentopia/key-id\0")
            .chain_update(*bytes)
            .finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self {
            id: KeyId(id),
            bytes,
        }
    }
}

/// The master keys of an installation. Wiped from memory when dropped; shows ids only.
pub struct Keyring {
    current: MasterKey,
    older: Vec<MasterKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.current.id)
            .field(
                "older",
                &self.older.iter().map(|key| key.id).collect::<Vec<_>>(),
            )
            .finish()
    }
}

impl Keyring {
    /// A keyring of one new key.
    #[must_use]
    pub fn generate(ambient: &Ambient) -> Self {
        Self {
            current: MasterKey::new(Zeroizing::new(ambient.random())),
            older: Vec::new(),
        }
    }

    /// The same with a new current key; the one before still opens what it sealed.
    #[must_use]
    pub fn rotated(self, ambient: &Ambient) -> Self {
        let mut older = vec![self.current];
        older.extend(self.older);
        Self {
            current: MasterKey::new(Zeroizing::new(ambient.random())),
            older,
        }
    }

    /// Reads the text form; `origin` names where it comes from in errors.
    ///
    /// # Errors
    /// [`VaultError::BadKey`] with the line, never its text; [`VaultError::NoKey`].
    pub fn parse(text: &SecretString, origin: &str) -> Result<Self, VaultError> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (index, line) in text.expose_secret().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |problem| VaultError::BadKey {
                origin: origin.to_owned(),
                line: index + 1,
                problem,
            };
            let encoded = line.strip_prefix(PREFIX).ok_or_else(|| {
                bad("a master key begins with `agk1:`; `agentopia` makes one at its first start")
            })?;
            let mut bytes = Zeroizing::new([0; 32]);
            // One byte more than is wanted, so that a key that is too long is seen.
            let mut decoded = Zeroizing::new([0; 33]);
            let length = URL_SAFE_NO_PAD
                .decode_slice(encoded, &mut *decoded)
                .map_err(|_| bad("43 characters of URL-safe base64 are wanted after `agk1:`"))?;
            if length != bytes.len() {
                return Err(bad(
                    "43 characters of URL-safe base64 are wanted after `agk1:`",
                ));
            }
            bytes.copy_from_slice(&decoded[..32]);
            let key = MasterKey::new(bytes);
            if keys.iter().any(|other| other.id == key.id) {
                return Err(bad("this key stands there twice; take one line away"));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or_else(|| VaultError::NoKey {
            origin: origin.to_owned(),
        })?;
        Ok(Self {
            current,
            older: keys.collect(),
        })
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let mut text = String::with_capacity(64 * (1 + self.older.len()));
        for key in std::iter::once(&self.current).chain(&self.older) {
            text.push_str(PREFIX);
            let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(*key.bytes));
            text.push_str(&encoded);
            text.push('\n');
        }
        // The capacity above is never exceeded, so no copy of a key is left behind.
        SecretString::from(text)
    }

    /// The key with which values are sealed.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.current.id
    }

    /// Which keys there are, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(self.current.id).chain(self.older.iter().map(|key| key.id))
    }

    pub(crate) fn current_bytes(&self) -> &[u8; 32] {
        &self.current.bytes
    }

    pub(crate) fn bytes(&self, id: KeyId) -> Option<&[u8; 32]> {
        std::iter::once(&self.current)
            .chain(&self.older)
            .find(|key| key.id == id)
            .map(|key| &*key.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_comes_back_with_the_same_ids() {
        let ambient = Ambient::system();
        let ring = Keyring::generate(&ambient)
            .rotated(&ambient)
            .rotated(&ambient);
        let again = Keyring::parse(&ring.to_text(), "test").unwrap();
        assert_eq!(
            ring.ids().collect::<Vec<_>>(),
            again.ids().collect::<Vec<_>>()
        );
        assert_eq!(ring.ids().count(), 3);
        assert_eq!(again.current(), ring.current());
    }

    #[test]
    fn debug_shows_ids_only() {
        let ring = Keyring::generate(&Ambient::system());
        let text = ring.to_text();
        let key = text
            .expose_secret()
            .trim()
            .trim_start_matches(PREFIX)
            .to_owned();
        let shown = format!("{ring:?}");
        assert!(shown.contains(&ring.current().to_string()));
        assert!(!shown.contains(&key));
    }

    #[test]
    fn what_is_no_keyring_is_refused_by_line_without_showing_it() {
        let good = Keyring::generate(&Ambient::system()).to_text();
        let good = good.expose_secret().trim().to_owned();
        let line_of = |text: String| match Keyring::parse(&SecretString::from(text), "the file") {
            Err(VaultError::BadKey { line, origin, .. }) => {
                assert_eq!(origin, "the file");
                line
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(line_of(format!("# old\n\n{good}\nhunter2")), 4);
        assert_eq!(line_of(format!("{good}\n{good}")), 2);
        assert_eq!(line_of(good[..good.len() - 1].to_owned()), 1);
        assert_eq!(line_of(format!("{good}AAAA")), 1);
        assert_eq!(line_of(good.replacen("agk1:", "agk1:*", 1)), 1);
        let empty = Keyring::parse(&SecretString::from("# nothing\n"), "x");
        assert!(matches!(empty, Err(VaultError::NoKey { .. })));
    }
}
