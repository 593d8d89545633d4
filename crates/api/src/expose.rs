//! The only ways by which a secret gets onto the wire: serializers named explicitly at the field.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;

/// Writes the secret out.
///
/// # Errors
/// Those of the serializer.
pub fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
