//! First-run set-up, signing in and out, changing one's password (UI-1, SEC-1).

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::expose::expose;
use crate::user::User;

/// Whether the first admin is still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetupStatus {
    /// `true` until the first admin exists.
    pub needed: bool,
}

/// Makes the first admin.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The one-time token that `agentopia serve` printed.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String)]
    pub token: SecretString,
    /// What the admin will sign in with.
    #[schema(min_length = 3, max_length = 254)]
    pub email: String,
    /// 12 to 256 characters.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub password: SecretString,
}

/// Signs in.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// The address.
    pub email: String,
    /// The password.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub password: SecretString,
}

/// Who is signed in, and how.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// Who.
    pub user: User,
    /// To be sent as `X-CSRF-Token` with every change made by cookie; absent where a token was
    /// used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
    /// When the session or the token ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Changes one's own password; every other session ends.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The one now.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub current_password: SecretString,
    /// 12 to 256 characters.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, format = Password)]
    pub new_password: SecretString,
}
