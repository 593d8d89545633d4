//! People who can sign in.

use agentopia_domain::UserId;
use agentopia_domain::user::Role;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::expose::expose;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    /// Their id, and that of their account.
    pub id: UserId,
    /// What they sign in with.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may not sign in.
    pub disabled: bool,
    /// When they were added.
    pub created_at: DateTime<Utc>,
    /// When the record last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<agentopia_domain::user::User> for User {
    fn from(user: agentopia_domain::user::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            role: user.role,
            disabled: user.disabled,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// Adds a user (admins only).
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    /// What they will sign in with; unique, compared without case.
    #[schema(min_length = 3, max_length = 254)]
    pub email: String,
    /// 12 to 256 characters.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub password: SecretString,
    /// What they may do.
    pub role: Role,
}

/// Changes a user (admins only).
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUserRequest {
    /// `true` ends every session and stops every token of theirs at once.
    pub disabled: bool,
}
