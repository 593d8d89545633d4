//! The one-time token with which the first admin is made.
//!
//! `serve` opens the gate when it starts: while nobody can sign in, there is a token, printed for
//! the person who started the server. It is the same for every replica and every restart, and stands
//! in a file of the data directory, readable by the owner alone; it is worthless once the first admin
//! exists, because the store makes that one only while there is no user at all.

use std::io;
use std::path::{Path, PathBuf};

use agentopia_domain::Ambient;
use agentopia_domain::token::TokenHash;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

/// The token's file in the data directory.
const FILE: &str = "setup-token";

/// Knows the token's hash while it is good for something.
#[derive(Debug, Clone, Default)]
pub struct SetupGate {
    hash: Option<TokenHash>,
    file: Option<PathBuf>,
}

/// Why the gate could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of the token can't be read or written.
    #[error("the set-up token's file {path} can't be used: {source}; check who may write there")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SetupGate {
    /// Opens the gate for `token` and writes it to `setup-token` in the data directory, for whoever
    /// may read that.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn open(token: &SecretString, data_dir: &Path) -> Result<Self, SetupError> {
        let path = data_dir.join(FILE);
        write_private(&path, token.expose_secret().as_bytes()).map_err(|source| {
            SetupError::File {
                path: path.clone(),
                source,
            }
        })?;
        Ok(Self {
            hash: Some(TokenHash::of(token.expose_secret())),
            file: Some(path),
        })
    }

    /// A gate that stays closed: somebody can sign in. What an earlier start left is removed.
    #[must_use]
    pub fn closed(data_dir: &Path) -> Self {
        remove(&data_dir.join(FILE));
        Self::default()
    }

    /// A gate with a token of the caller's, for tests.
    #[must_use]
    pub fn with_token(token: &SecretString) -> Self {
        Self {
            hash: Some(TokenHash::of(token.expose_secret())),
            file: None,
        }
    }

    /// Whether `sent` is the token; compared in constant time.
    #[must_use]
    pub fn accepts(&self, sent: &SecretString) -> bool {
        self.hash
            .is_some_and(|hash| hash.matches(&TokenHash::of(sent.expose_secret())))
    }

    /// The first admin exists: the token's file has no use any more.
    pub fn close(&self) {
        if let Some(path) = &self.file {
            remove(path);
        }
    }
}

/// A new token.
#[must_use]
pub fn mint(ambient: &Ambient) -> SecretString {
    let random = zeroize::Zeroizing::new(ambient.random::<24>());
    SecretString::from(format!("setup_{}", URL_SAFE_NO_PAD.encode(*random)))
}

/// Replaces the file as a whole.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// A token left behind opens nothing; that it stays is worth a line in the log, no more.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "the used set-up token could not be removed");
    }
}
