//! Logins at container registries, for images that can't be pulled without. The password is
//! written, never read back.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::expose::expose;

/// A login, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegistryLogin {
    /// The registry's host, with its port where it has one, for example `127.0.0.1:5000`.
    pub host: String,
    /// The user name.
    pub username: String,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Sets the login at a registry.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRegistryLoginRequest {
    /// The user name.
    pub username: String,
    /// The password or token.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub password: SecretString,
}
