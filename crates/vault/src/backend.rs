//! What the control plane asks of a vault. Other backends (HashiCorp Vault, `OpenBao`, Supabase
//! Vault) come behind the same trait: they keep the value elsewhere and return a reference to store.

use std::fmt;
use std::sync::Arc;

use agentopia_domain::Ambient;
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use crate::context::Context;
use crate::envelope;
use crate::error::VaultError;
use crate::keyring::{KeyId, Keyring};

/// Keeps values. What it returns from `seal` is stored by the caller and handed back to `open`.
#[async_trait]
pub trait Vault: fmt::Debug + Send + Sync {
    /// Seals bytes for `context`.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do.
    async fn seal(
        &self,
        context: &Context,
        value: &SecretBox<Vec<u8>>,
    ) -> Result<Vec<u8>, VaultError>;

    /// Opens what was sealed for the same `context`.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do.
    async fn open(
        &self,
        context: &Context,
        sealed: &[u8],
    ) -> Result<SecretBox<Vec<u8>>, VaultError>;

    /// Wraps anew what an older master key wraps; `None` when there is nothing to do.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do.
    async fn rewrap(&self, context: &Context, sealed: &[u8])
    -> Result<Option<Vec<u8>>, VaultError>;

    /// Seals text for `context`.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do.
    async fn seal_text(
        &self,
        context: &Context,
        value: &SecretString,
    ) -> Result<Vec<u8>, VaultError> {
        let bytes = value.expose_secret().as_bytes().to_vec();
        self.seal(context, &SecretBox::new(Box::new(bytes))).await
    }

    /// Opens text.
    ///
    /// # Errors
    /// [`VaultError`], saying what to do; [`VaultError::NotText`] for bytes.
    async fn open_text(
        &self,
        context: &Context,
        sealed: &[u8],
    ) -> Result<SecretString, VaultError> {
        envelope::text(&self.open(context, sealed).await?)
    }
}

/// The built-in backend: everything is in the ciphertext itself.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    keyring: Arc<Keyring>,
    ambient: Ambient,
}

impl BuiltIn {
    /// A vault on this keyring.
    #[must_use]
    pub fn new(keyring: Keyring, ambient: Ambient) -> Self {
        Self {
            keyring: Arc::new(keyring),
            ambient,
        }
    }

    /// The master key with which values are sealed, for logs.
    #[must_use]
    pub fn current_key(&self) -> KeyId {
        self.keyring.current()
    }
}

#[async_trait]
impl Vault for BuiltIn {
    async fn seal(
        &self,
        context: &Context,
        value: &SecretBox<Vec<u8>>,
    ) -> Result<Vec<u8>, VaultError> {
        envelope::seal(&self.keyring, &self.ambient, context, value.expose_secret())
    }

    async fn open(
        &self,
        context: &Context,
        sealed: &[u8],
    ) -> Result<SecretBox<Vec<u8>>, VaultError> {
        envelope::open(&self.keyring, context, sealed)
    }

    async fn rewrap(
        &self,
        context: &Context,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, VaultError> {
        envelope::rewrap(&self.keyring, &self.ambient, context, sealed)
    }
}
