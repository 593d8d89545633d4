//! SSH keys of the account: `/v2/account/keys`.

use serde::{Deserialize, Serialize};

use crate::budget::Meter;
use crate::client::{Call, Client, Removal};
use crate::envelope::Resource;
use crate::error::Error;
use crate::ids::KeyId;
use crate::page::Pages;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// MD5, sixteen bytes in hexadecimal with colons between them.
    pub fingerprint: String,
    /// As it stands in `authorized_keys`.
    pub public_key: String,
    /// What people call it.
    pub name: String,
}

/// A key that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// As it stands in `authorized_keys`.
    pub public_key: String,
}

/// A key, named in one of two ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum KeyRef {
    /// By its id.
    Id(KeyId),
    /// By its fingerprint.
    Fingerprint(String),
}

impl KeyRef {
    fn path(&self) -> [String; 3] {
        let key = match self {
            Self::Id(id) => id.to_string(),
            Self::Fingerprint(fingerprint) => fingerprint.clone(),
        };
        ["account".to_owned(), "keys".to_owned(), key]
    }
}

impl Resource for Key {
    const ONE: &'static str = "ssh_key";
    const MANY: &'static str = "ssh_keys";
}

/// See [`Client::keys`].
#[derive(Debug, Clone, Copy)]
pub struct KeysApi<'c>(pub(crate) &'c Client);

impl<'c> KeysApi<'c> {
    /// All keys. Ten lists in 60 s are all that DigitalOcean gives; who asks for more waits.
    pub fn list(self) -> Pages<'c, Key> {
        let call = Call::get("list SSH keys", ["account", "keys"]);
        Pages::new(self.0, call.metered(Meter::Keys))
    }

    /// One key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, key: &KeyRef) -> Result<Option<Key>, Error> {
        self.0.find(&Call::get("read an SSH key", key.path())).await
    }

    /// Adds a key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create(self, key: &NewKey) -> Result<Key, Error> {
        self.0
            .one(&Call::post("add an SSH key", ["account", "keys"]).json(key)?)
            .await
    }

    /// Gives a key another name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rename(self, key: &KeyRef, name: &str) -> Result<Key, Error> {
        #[derive(Serialize)]
        struct Rename<'a> {
            name: &'a str,
        }
        self.0
            .one(&Call::put("rename an SSH key", key.path()).json(&Rename { name })?)
            .await
    }

    /// Removes a key from the account; droplets keep theirs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, key: &KeyRef) -> Result<Removal, Error> {
        self.0
            .remove(&Call::delete("remove an SSH key", key.path()))
            .await
    }
}
