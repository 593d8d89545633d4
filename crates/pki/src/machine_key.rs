//! A key pair (ECDSA P-256) that never leaves the machine it was made on.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _, SigningKey as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};

use crate::PkiError;

/// A private key. `Debug` shows nothing of it.
pub struct MachineKey(pub(crate) KeyPair);

impl fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineKey(..)")
    }
}

impl MachineKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the kernel has no randomness.
    pub fn generate() -> Result<Self, PkiError> {
        Ok(Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?))
    }

    /// Reads what [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// When it is no PKCS #8 key in PEM.
    pub fn from_pem(pem: &SecretString) -> Result<Self, PkiError> {
        KeyPair::from_pem(pem.expose_secret())
            .map(Self)
            .map_err(|error| PkiError::malformed("private key", error))
    }

    /// The key as PKCS #8 in PEM, for a file of mode 0600 or the vault.
    #[must_use]
    pub fn to_pem(&self) -> SecretString {
        SecretString::from(self.0.serialize_pem())
    }

    /// A certificate request (PKCS #10) in PEM that proves possession of the key. The authority
    /// ignores what it asks for; `subject` is for people.
    ///
    /// # Errors
    /// When signing fails.
    pub fn csr_pem(&self, subject: &str) -> Result<String, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, subject);
        params
            .serialize_request(&self.0)?
            .pem()
            .map_err(|error| PkiError::malformed("certificate request", error))
    }

    /// Signs `message`: ECDSA P-256 with SHA-256, ASN.1, base64.
    ///
    /// # Errors
    /// When the kernel has no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<String, PkiError> {
        Ok(STANDARD.encode(self.0.sign(message)?))
    }

    /// The public key, as [`verify_signature`] takes it.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.0.der_bytes().to_vec()
    }

    pub(crate) fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }
}

/// Whether `signature` (as [`MachineKey::sign`] makes it) over `message` is by the owner of
/// `public_key` (an uncompressed P-256 point).
#[must_use]
pub fn verify_signature(public_key: &[u8], message: &[u8], signature: &str) -> bool {
    STANDARD.decode(signature).is_ok_and(|signature| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
            .verify(message, &signature)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_and_key_only() {
        let key = MachineKey::generate().unwrap();
        let again = MachineKey::from_pem(&key.to_pem()).unwrap();
        let signature = again.sign(b"message").unwrap();
        assert!(verify_signature(&key.public_key(), b"message", &signature));
        assert!(!verify_signature(&key.public_key(), b"massage", &signature));
        let other = MachineKey::generate().unwrap();
        assert!(!verify_signature(
            &other.public_key(),
            b"message",
            &signature
        ));
        assert!(!verify_signature(
            &key.public_key(),
            b"message",
            "no base64!"
        ));
    }
}
