//! Where the keyring comes from: `AGENTOPIA_VAULT_KEY`, the file that `AGENTOPIA_VAULT_KEY_FILE`
//! names, or a file in the data directory that is made at the first start.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agentopia_domain::Ambient;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::keyring::Keyring;

/// The longest key file that is read, in bytes: room for two hundred keys.
const MAX_FILE: u64 = 16 * 1024;

/// Where the keyring comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Given as text, by the environment.
    Text {
        /// The name of the variable, for errors.
        origin: String,
        /// The keyring.
        text: SecretString,
    },
    /// A file that somebody else provides and that has to be there.
    File(PathBuf),
    /// A file of our own, made where it is missing.
    Own(PathBuf),
}

impl KeySource {
    /// By precedence: the variable `AGENTOPIA_VAULT_KEY`, the file named by
    /// `AGENTOPIA_VAULT_KEY_FILE`, else `vault.key` in the data directory.
    #[must_use]
    pub fn choose(key: Option<SecretString>, key_file: Option<PathBuf>, data_dir: &Path) -> Self {
        match (key, key_file) {
            (Some(text), _) => Self::Text {
                origin: "AGENTOPIA_VAULT_KEY".to_owned(),
                text,
            },
            (None, Some(path)) => Self::File(path),
            (None, None) => Self::Own(data_dir.join("vault.key")),
        }
    }
}

impl Keyring {
    /// Reads the keyring; makes it if it is our own file and not there yet.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do. A file that is there is never overwritten.
    pub fn load(source: &KeySource, ambient: &Ambient) -> Result<Self, VaultError> {
        match source {
            KeySource::Text { origin, text } => Self::parse(text, origin),
            KeySource::File(path) => read(path)?.ok_or_else(|| VaultError::File {
                path: path.clone(),
                source: ErrorKind::NotFound.into(),
            }),
            KeySource::Own(path) => Self::load_or_create(path, ambient),
        }
    }

    /// Reads the keyring in `path`, or makes one of one new key there, readable by its owner alone.
    /// Of several processes at once one makes it and all read the same. A crash leaves the whole
    /// file or none.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do.
    pub fn load_or_create(path: &Path, ambient: &Ambient) -> Result<Self, VaultError> {
        if let Some(keyring) = read(path)? {
            return Ok(keyring);
        }
        let fresh = Self::generate(ambient);
        let temporary = write_beside(path, &fresh, ambient)?;
        // Unlike a rename, a link fails when somebody else was first.
        let linked = std::fs::hard_link(&temporary, path);
        let removed = std::fs::remove_file(&temporary);
        match linked {
            Ok(()) => sync_directory(path)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file(path)(error)),
        }
        removed.map_err(file(&temporary))?;
        read(path)?.ok_or_else(|| VaultError::File {
            path: path.to_path_buf(),
            source: ErrorKind::NotFound.into(),
        })
    }

    /// Puts a new current key on top of the file, whole or not at all. Restart all replicas with
    /// the new file before wrapping anything anew.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do.
    pub fn rotate_file(path: &Path, ambient: &Ambient) -> Result<Self, VaultError> {
        let before = read(path)?.ok_or_else(|| VaultError::File {
            path: path.to_path_buf(),
            source: ErrorKind::NotFound.into(),
        })?;
        let rotated = before.rotated(ambient);
        let temporary = write_beside(path, &rotated, ambient)?;
        std::fs::rename(&temporary, path).map_err(file(path))?;
        sync_directory(path)?;
        Ok(rotated)
    }
}

fn file(path: &Path) -> impl Fn(std::io::Error) -> VaultError {
    let path = path.to_path_buf();
    move |source| VaultError::File {
        path: path.clone(),
        source,
    }
}

/// `None` where there is no file.
fn read(path: &Path) -> Result<Option<Keyring>, VaultError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(path)(error)),
    };
    // Of the open file, so that it can't be another by the time it is read.
    let metadata = opened.metadata().map_err(file(path))?;
    if !metadata.is_file() {
        return Err(VaultError::NotAFile(path.to_path_buf()));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::OpenToOthers {
            path: path.to_path_buf(),
            mode,
        });
    }
    let length = metadata.len().min(MAX_FILE);
    let capacity = usize::try_from(length).unwrap_or(0) + 1;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    (&mut opened)
        .take(length)
        .read_to_string(&mut text)
        .map_err(file(path))?;
    let text = SecretString::from(std::mem::take(&mut *text));
    Keyring::parse(&text, &path.display().to_string()).map(Some)
}

/// `O_NONBLOCK` of Linux: opening a pipe that lies there by mistake must not wait for a writer.
const O_NONBLOCK: i32 = 0o4000;

/// Writes the keyring to a new file beside `path`, on the disk before this returns.
fn write_beside(path: &Path, keyring: &Keyring, ambient: &Ambient) -> Result<PathBuf, VaultError> {
    let unique: uuid::Uuid = ambient.new_id();
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", unique.simple()));
    let temporary = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut new| {
            new.write_all(keyring.to_text().expose_secret().as_bytes())?;
            new.sync_all()
        });
    if let Err(error) = written {
        // Best effort: the error that matters is the one above.
        let _ = std::fs::remove_file(&temporary);
        return Err(file(&temporary)(error));
    }
    Ok(temporary)
}

fn sync_directory(path: &Path) -> Result<(), VaultError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(file(parent))
}
