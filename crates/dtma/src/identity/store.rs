//! Credentials on disk: `identity.json`, the keys in `keys/`, all readable by us only.
//!
//! The order of writes makes every crash point harmless:
//! 1. `keys/pending.pem`: a new key, before anybody is asked to certify it. A repeated request
//!    uses it again, so that an answer that was lost is given again.
//! 2. `keys/<digest>.pem`: the same key under its final name.
//! 3. `identity.json`, which names the key: from here on the new credentials count.
//! 4. The pending key and older keys go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentopia_domain::EnvironmentId;
use agentopia_domain::token::TokenHash;
use agentopia_dtma_api::to_control_plane::Credentials;
use agentopia_pki::{MachineKey, PkiError};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::MachineIdentity;
use crate::files;

const PENDING: &str = "pending.pem";

/// Where the credentials are.
#[derive(Debug, Clone)]
pub struct IdentityStore {
    directory: PathBuf,
}

/// Why credentials can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{path} can't be {doing}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged. Its content is not quoted: it may be secret.
    #[error(
        "{path} is damaged ({reason}): its credentials are lost with it; disable \
         the environment and enable it again (`agentopia env disable`, `agentopia env enable`)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] PkiError),
}

/// The format of `identity.json`.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    environment_id: EnvironmentId,
    key: String,
    certificate_pem: String,
    ca_pem: String,
    #[serde(serialize_with = "expose")]
    bearer: SecretString,
    control_plane_bearer_hash: String,
    #[serde(default)]
    previous_control_plane_bearer_hash: Option<String>,
    join_counter: i64,
    obtained_at: DateTime<Utc>,
    lifetime_seconds: i64,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    enrolled_with: Option<String>,
}

/// Written to this one file and nowhere else.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

impl IdentityStore {
    /// Credentials in `directory`, which is made if need be.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        for path in [directory.to_owned(), directory.join("keys")] {
            files::private_dir(&path)
                .and_then(|()| files::sweep(&path))
                .map_err(|source| written(&path, source))?;
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The same for somebody who only looks while the DTMA runs: nothing is made or removed.
    #[must_use]
    pub fn of_running(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The credentials, if this machine has any.
    ///
    /// # Errors
    /// When they are there and can't be used.
    pub fn load(&self) -> Result<Option<MachineIdentity>, StoreError> {
        let path = self.file();
        let content = files::read(&path).map_err(|source| read(&path, source))?;
        let Some(content) = content.map(Zeroizing::new) else {
            return Ok(None);
        };
        let damaged = |reason: String| StoreError::Damaged {
            path: path.clone(),
            reason,
        };
        // serde_json's own message would quote the content.
        let stored: Stored = serde_json::from_slice(&content).map_err(|error| {
            damaged(format!("line {}, column {}", error.line(), error.column()))
        })?;
        let hash = |text: &str| {
            TokenHash::from_hex(text).ok_or_else(|| damaged("a hash is not one".to_owned()))
        };
        if stored.format != 1 {
            return Err(damaged(format!("its format {} is unknown", stored.format)));
        }
        let key_path = self.key_path(&stored.key);
        let key = read_key(&key_path)?.ok_or_else(|| damaged("its key is missing".to_owned()))?;
        Ok(Some(MachineIdentity {
            environment_id: stored.environment_id,
            key: Arc::new(key),
            control_plane_bearer: hash(&stored.control_plane_bearer_hash)?,
            previous_control_plane_bearer: stored
                .previous_control_plane_bearer_hash
                .as_deref()
                .map(hash)
                .transpose()?,
            enrolled_with: stored.enrolled_with.as_deref().map(hash).transpose()?,
            bearer: stored.bearer,
            certificate_pem: stored.certificate_pem,
            ca_pem: stored.ca_pem,
            join_counter: stored.join_counter,
            obtained_at: stored.obtained_at,
            lifetime: TimeDelta::seconds(stored.lifetime_seconds),
            locked: stored.locked,
        }))
    }

    /// The key that the next credentials are for: the one that an earlier, unfinished request
    /// used, or a new one, on disk before it is used.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn pending_key(&self) -> Result<MachineKey, StoreError> {
        let path = self.key_path(PENDING);
        // A crash right after step 3 leaves the pending key beside the credentials it became.
        let current = self.load().ok().flatten().map(|own| key_name(&own.key));
        match read_key(&path) {
            Ok(Some(key)) if current != Some(key_name(&key)) => return Ok(key),
            Ok(_) => {}
            // Nobody depends on it yet.
            Err(error) => tracing::warn!(%error, "the pending key can't be used; making another"),
        }
        let key = MachineKey::generate()?;
        files::replace(&path, key.to_pem().expose_secret().as_bytes())
            .map_err(|source| written(&path, source))?;
        Ok(key)
    }

    /// Drops the pending key: the request it was made for was refused for good.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn drop_pending_key(&self) -> Result<(), StoreError> {
        let path = self.key_path(PENDING);
        files::remove(&path).map_err(|source| written(&path, source))
    }

    /// Makes `credentials`, issued for the pending key, the ones that count.
    ///
    /// # Errors
    /// When they can't be stored; the ones before still count then.
    pub fn accept(
        &self,
        credentials: &Credentials,
        key: MachineKey,
        before: Option<&MachineIdentity>,
        enrolled_with: Option<TokenHash>,
        now: DateTime<Utc>,
    ) -> Result<MachineIdentity, StoreError> {
        let hash =
            TokenHash::from_hex(&credentials.control_plane_bearer_hash).ok_or_else(|| {
                StoreError::Damaged {
                    path: self.file(),
                    reason: "the control plane sent a hash that is none".to_owned(),
                }
            })?;
        let lifetime = i64::try_from(credentials.expires_in_seconds).unwrap_or(i64::MAX / 2000);
        let identity = MachineIdentity {
            environment_id: credentials.environment_id,
            certificate_pem: credentials.certificate_pem.clone(),
            ca_pem: credentials.ca_pem.clone(),
            key: Arc::new(key),
            bearer: credentials.bearer.clone(),
            control_plane_bearer: hash,
            previous_control_plane_bearer: before
                .map(|before| before.control_plane_bearer)
                .filter(|before| *before != hash),
            join_counter: credentials.join_counter,
            obtained_at: now,
            lifetime: TimeDelta::seconds(lifetime),
            locked: false,
            enrolled_with,
        };
        self.save(&identity)?;
        self.forget_other_keys(&key_name(&identity.key));
        Ok(identity)
    }

    /// Stores `identity` as it is.
    ///
    /// # Errors
    /// When it can't be written; what was there before still counts then.
    pub fn save(&self, identity: &MachineIdentity) -> Result<(), StoreError> {
        let name = key_name(&identity.key);
        let key_path = self.key_path(&name);
        if !key_path.exists() {
            files::replace(&key_path, identity.key.to_pem().expose_secret().as_bytes())
                .map_err(|source| written(&key_path, source))?;
        }
        let stored = Stored {
            format: 1,
            environment_id: identity.environment_id,
            key: name,
            certificate_pem: identity.certificate_pem.clone(),
            ca_pem: identity.ca_pem.clone(),
            bearer: identity.bearer.clone(),
            control_plane_bearer_hash: identity.control_plane_bearer.to_hex(),
            previous_control_plane_bearer_hash: identity
                .previous_control_plane_bearer
                .map(TokenHash::to_hex),
            join_counter: identity.join_counter,
            obtained_at: identity.obtained_at,
            lifetime_seconds: identity.lifetime.num_seconds(),
            locked: identity.locked,
            enrolled_with: identity.enrolled_with.map(TokenHash::to_hex),
        };
        let path = self.file();
        let content = serde_json::to_vec_pretty(&stored)
            .map(Zeroizing::new)
            .map_err(|error| written(&path, io::Error::other(error)))?;
        files::replace(&path, &content).map_err(|source| written(&path, source))
    }

    fn forget_other_keys(&self, current: &str) {
        let Ok(entries) = std::fs::read_dir(self.directory.join("keys")) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| name != current)
                && let Err(error) = files::remove(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an old key can't be removed");
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("identity.json")
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.directory.join("keys").join(name)
    }
}

fn key_name(key: &MachineKey) -> String {
    let digest = hex::encode(&Sha256::digest(key.public_key())[..8]);
    format!("{digest}.pem")
}

fn read_key(path: &Path) -> Result<Option<MachineKey>, StoreError> {
    let content = files::read(path).map_err(|source| read(path, source))?;
    let Some(content) = content.map(Zeroizing::new) else {
        return Ok(None);
    };
    let text = SecretString::from(String::from_utf8_lossy(&content).into_owned());
    MachineKey::from_pem(&text)
        .map(Some)
        .map_err(|_| StoreError::Damaged {
            path: path.to_owned(),
            reason: "it is no private key".to_owned(),
        })
}

fn read(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        doing: "read",
        source,
    }
}

fn written(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        doing: "written",
        source,
    }
}
