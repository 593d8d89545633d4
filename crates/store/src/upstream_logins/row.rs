//! What is kept of a login, and from rows to it.

use agentopia_domain::{AccountId, InstanceId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::convert::time_opt;
use crate::entity::upstream_login::Model;
use crate::error::StoreError;

/// A login, or that one is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamLogin {
    /// Whose server.
    pub instance_id: InstanceId,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// Made anew with each sealed value.
    pub sealed_id: Uuid,
    /// The sealed tokens; none where nobody is logged in.
    pub sealed: Option<Vec<u8>>,
    /// The client that the owner registered by hand, sealed, with the id of the sealed value.
    pub given: Option<(Uuid, Vec<u8>)>,
    /// The authorization server.
    pub issuer: Option<String>,
    /// As whom we are known there.
    pub client_id: Option<String>,
    /// What the tokens are good for.
    pub scope: Option<String>,
    /// What the server asked for besides.
    pub wanted_scope: Option<String>,
    /// Why the owner has to log in again, if they have to.
    pub problem: Option<String>,
    /// From when on the tokens are to be renewed.
    pub renew_at: Option<DateTime<Utc>>,
    /// When the access token is over.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the owner logged in.
    pub logged_in_at: Option<DateTime<Utc>>,
}

/// Tokens of a login just done.
#[derive(Debug, Clone)]
pub struct NewLoginTokens {
    /// Whose server.
    pub instance_id: InstanceId,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// The authorization server.
    pub issuer: String,
    /// As whom we are known there.
    pub client_id: String,
    /// That client, sealed, if the owner registered it by hand.
    pub given: Option<(Uuid, Vec<u8>)>,
    /// The tokens.
    pub tokens: RenewedTokens,
}

/// Tokens in place of others.
#[derive(Debug, Clone)]
pub struct RenewedTokens {
    /// Made anew with each sealed value.
    pub sealed_id: Uuid,
    /// The sealed tokens.
    pub sealed: Vec<u8>,
    /// What they are good for, if it is known.
    pub scope: Option<String>,
    /// From when on they are to be renewed.
    pub renew_at: Option<DateTime<Utc>>,
    /// When the access token is over.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why the owner has to log in (again).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginProblem {
    /// For people.
    pub text: String,
    /// What the server asked for.
    pub wanted_scope: Option<String>,
    /// Whether the tokens are worth nothing any more.
    pub forget_tokens: bool,
}

pub(super) fn to_login(row: Model) -> Result<UpstreamLogin, StoreError> {
    Ok(UpstreamLogin {
        instance_id: row.instance_id.into(),
        account_id: row.account_id.into(),
        sealed_id: row.sealed_id,
        sealed: row.sealed,
        given: row.given_id.zip(row.given),
        issuer: row.issuer,
        client_id: row.client_id,
        scope: row.scope,
        wanted_scope: row.wanted_scope,
        problem: row.problem,
        renew_at: time_opt("upstream_logins.renew_at", row.renew_at)?,
        expires_at: time_opt("upstream_logins.expires_at", row.expires_at)?,
        logged_in_at: time_opt("upstream_logins.logged_in_at", row.logged_in_at)?,
    })
}
