//! A value in the vault, without the value.

use chrono::{DateTime, Utc};

use crate::ids::{AccountId, SecretId};
use crate::name::Name;

/// What may be known of a secret without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Its id.
    pub id: SecretId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: Name,
    /// Grows with every new value.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its value last changed.
    pub updated_at: DateTime<Utc>,
}
