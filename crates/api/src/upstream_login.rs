//! Logins at servers that run elsewhere and want OAuth (AGT-7).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How an instance stands at its server's authorization server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UpstreamLogin {
    /// In a word.
    pub state: UpstreamLoginState,
    /// Why the owner has to log in, if they have to.
    pub problem: Option<String>,
    /// The authorization server.
    pub issuer: Option<String>,
    /// As whom we are known there.
    pub client_id: Option<String>,
    /// What the login is good for, if it is known.
    pub scope: Option<String>,
    /// What the server asked for besides.
    pub wanted_scope: Option<String>,
    /// When the owner logged in.
    pub logged_in_at: Option<DateTime<Utc>>,
    /// When the access token is over; it is renewed before.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Whether somebody has to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamLoginState {
    /// Nobody: it is logged in.
    LoggedIn,
    /// The owner; nothing goes until then.
    Needed,
    /// The owner, for some of what the server can do; the rest goes.
    WiderNeeded,
}

/// Begins a login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The id of a client that was registered at the authorization server by hand. The redirect address
    /// to register there is `<public address>/oauth/callback`. Not needed where clients may register
    /// by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 2048)]
    pub client_id: Option<String>,
    /// Name or id of the secret that has that client's secret, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// What to ask for in place of what the server wants: scopes with spaces between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub scope: Option<String>,
}

/// A login that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LoginBegun {
    /// What the owner opens in the browser. They sign in here, then agree at the authorization server.
    pub url: String,
    /// The authorization server.
    pub issuer: String,
    /// Until when they have to be done.
    pub expires_at: DateTime<Utc>,
}
