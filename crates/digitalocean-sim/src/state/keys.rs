//! SSH keys of the account.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::ids::KeyId;
use crate::refusal::Refusal;

const FIRST_ID: u64 = 38_000_000;

/// A key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    /// MD5 of the key, as `ssh-keygen -E md5` writes it, without the prefix.
    pub(crate) fingerprint: String,
    pub(crate) public_key: String,
    pub(crate) name: String,
}

/// How a key is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyRef {
    Id(KeyId),
    Fingerprint(String),
}

/// All keys.
#[derive(Debug)]
pub(crate) struct Keys {
    by_id: BTreeMap<KeyId, Key>,
    last: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            last: FIRST_ID,
        }
    }
}

impl Keys {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        self.by_id.values()
    }

    pub(crate) fn find(&self, key: &KeyRef) -> Option<&Key> {
        match key {
            KeyRef::Id(id) => self.by_id.get(id),
            KeyRef::Fingerprint(print) => self.by_id.values().find(|key| key.fingerprint == *print),
        }
    }

    /// # Errors
    /// 422 where it is no key, or known already.
    pub(crate) fn add(&mut self, name: &str, public_key: &str) -> Result<&Key, Refusal> {
        let public_key = public_key.trim();
        let fingerprint = fingerprint(public_key).ok_or_else(|| {
            Refusal::unprocessable("Key invalid, key should be of the format `type key [comment]`")
        })?;
        if name.is_empty() {
            return Err(Refusal::unprocessable("Name can't be blank"));
        }
        if self.all().any(|key| key.fingerprint == fingerprint) {
            return Err(Refusal::unprocessable(
                "SSH Key is already in use on your account",
            ));
        }
        self.last += 1;
        let id = KeyId(self.last);
        Ok(self.by_id.entry(id).or_insert(Key {
            id,
            fingerprint,
            public_key: public_key.to_owned(),
            name: name.to_owned(),
        }))
    }

    /// # Errors
    /// 404 where there is none, 422 for an empty name.
    pub(crate) fn rename(&mut self, key: &KeyRef, name: &str) -> Result<&Key, Refusal> {
        let id = self.find(key).ok_or_else(Refusal::not_found)?.id;
        if name.is_empty() {
            return Err(Refusal::unprocessable("Name can't be blank"));
        }
        let key = self.by_id.get_mut(&id).ok_or_else(Refusal::not_found)?;
        key.name = name.to_owned();
        Ok(key)
    }

    /// # Errors
    /// 404 where there is none.
    pub(crate) fn remove(&mut self, key: &KeyRef) -> Result<(), Refusal> {
        let id = self.find(key).ok_or_else(Refusal::not_found)?.id;
        self.by_id.remove(&id);
        Ok(())
    }

    /// The keys that a droplet is to be given.
    ///
    /// # Errors
    /// 422 that names those which are unknown.
    pub(super) fn public_keys(&self, keys: &[KeyRef]) -> Result<Vec<String>, Refusal> {
        let (known, unknown): (Vec<_>, Vec<_>) = keys
            .iter()
            .map(|key| self.find(key).ok_or(key))
            .partition(Result::is_ok);
        if unknown.is_empty() {
            let known = known.into_iter().flatten();
            return Ok(known.map(|key| key.public_key.clone()).collect());
        }
        let names: Vec<_> = unknown
            .into_iter()
            .filter_map(Result::err)
            .map(|key| match key {
                KeyRef::Id(id) => id.to_string(),
                KeyRef::Fingerprint(print) => print.clone(),
            })
            .collect();
        Err(Refusal::unprocessable(format!(
            "{} are invalid key identifiers for Droplet creation.",
            names.join(", ")
        )))
    }
}

/// The fingerprint of a line of `authorized_keys`, if it is one.
fn fingerprint(public_key: &str) -> Option<String> {
    let mut words = public_key.split_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    // The blob repeats its type, with its length before it.
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if rest.get(..length)? != kind.as_bytes() {
        return None;
    }
    let bytes: Vec<_> = Md5::digest(&blob)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Some(bytes.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tt1bYOW5ctnAxwTMHNOTRyJ5pXHzGVFyqf3u9Q0zm me";

    #[test]
    fn fingerprints_are_those_of_ssh_keygen() {
        // Of `ssh-keygen -lE md5`.
        assert_eq!(
            fingerprint(KEY).unwrap(),
            "78:92:56:11:72:c0:42:51:e9:d6:18:15:bc:fd:72:ef"
        );
        assert_eq!(fingerprint("ssh-rsa nonsense"), None);
        assert_eq!(fingerprint(&KEY.replace("ssh-ed25519", "ssh-rsa")), None);
    }

    #[test]
    fn a_key_is_taken_once() {
        let mut keys = Keys::default();
        let id = keys.add("me", KEY).unwrap().id;
        assert!(keys.add("me too", KEY).is_err());
        let known = KeyRef::Id(id);
        let unknown = KeyRef::Id(KeyId(5));
        let refusal = keys.public_keys(&[known.clone(), unknown]).unwrap_err();
        assert!(refusal.message.starts_with("5 are invalid key identifiers"));
        assert_eq!(keys.public_keys(&[known]).unwrap(), [KEY]);
    }
}
