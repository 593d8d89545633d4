//! Why something can't be sealed or opened, and what to do about it.

use std::path::PathBuf;

use crate::keyring::KeyId;

/// Why the vault did not do what was asked. No variant holds a value or a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The bytes are no ciphertext of ours, or not whole.
    #[error("the stored value is damaged ({0}); restore it from a backup or set it anew")]
    Malformed(&'static str),
    /// A newer version wrote it.
    #[error(
        "the stored value has format {0}, which this version can't read; run the version that \
         wrote it"
    )]
    UnknownFormat(u8),
    /// The master key with which it was sealed is not in the keyring.
    #[error(
        "the stored value was sealed with master key {0}, which the keyring does not have; add \
         that key to the key file again"
    )]
    UnknownKey(KeyId),
    /// The key is right by its name, but the value was changed, or belongs elsewhere.
    #[error(
        "the stored value does not open as the one it is stored as: it was changed or copied from \
         another place; restore it from a backup or set it anew"
    )]
    Refused,
    /// The value is longer than a value may be.
    #[error("a value may have at most {max} bytes; this one has {len}")]
    TooLong {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// It was sealed as text and is none.
    #[error("the stored value is no text; read it as bytes")]
    NotText,
    /// The keyring can't be read as such.
    #[error("{origin}: line {line}: {problem}")]
    BadKey {
        /// Where it comes from.
        origin: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// There is no key in it at all.
    #[error("{origin} has no master key in it; restore it from a backup")]
    NoKey {
        /// Where it should be.
        origin: String,
    },
    /// Others than its owner could read the key.
    #[error(
        "{} can be read or written by others than its owner (mode {mode:o}); run: chmod 600 {}",
        .path.display(), .path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// The mode it has.
        mode: u32,
    },
    /// The key file is not an ordinary file.
    #[error("{} is not an ordinary file; put the key file itself there", .0.display())]
    NotAFile(PathBuf),
    /// The file can't be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
