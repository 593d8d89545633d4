//! The vault: values encrypted at rest (SEC-3).
//!
//! Every value is sealed with a random key of its own, and that key with the installation's master
//! key (an envelope): changing the master key means wrapping small keys anew, not reading every
//! value. What a value is for ([`Context`]) is authenticated along, so a ciphertext that is copied to
//! another tenant, another secret or an older revision opens nothing.
//!
//! - `envelope.rs`: the pure part, [`seal`], [`open`], [`rewrap`], and the format of a ciphertext.
//! - `keyring.rs`: master keys, the current one and those before it.
//! - `source.rs`: where the keyring comes from: a file in the data directory, or the environment.
//! - `backend.rs`: the trait [`Vault`] behind which other backends will stand, and [`BuiltIn`].

mod backend;
mod context;
mod envelope;
mod error;
mod keyring;
mod source;

pub use backend::{BuiltIn, Vault};
pub use context::Context;
pub use envelope::{open, rewrap, seal, sealed_with};
pub use error::VaultError;
pub use keyring::{KeyId, Keyring};
pub use source::KeySource;
