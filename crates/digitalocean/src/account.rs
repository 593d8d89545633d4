//! The account that the token belongs to: `/v2/account`.

use serde::Deserialize;

use crate::client::{Call, Client};
use crate::envelope::Resource;
use crate::error::Error;
use crate::open_enum::open_enum;

/// An account, or a team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// How many droplets it may have at a time. Needs the scope `droplet:read`.
    #[serde(default)]
    pub droplet_limit: Option<u32>,
    /// Whether it may make anything.
    pub status: AccountStatus,
    /// Why not, in words for people.
    #[serde(default)]
    pub status_message: String,
    /// The address of whoever made the token.
    #[serde(default)]
    pub email: Option<String>,
    /// Its id.
    #[serde(default)]
    pub uuid: Option<String>,
    /// The team in whose name the token acts.
    #[serde(default)]
    pub team: Option<Team>,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Team {
    /// Its id.
    pub uuid: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

open_enum! {
    /// Whether an account may make anything.
    pub enum AccountStatus {
        /// It may.
        Active = "active",
        /// It may, with limits; see the message.
        Warning = "warning",
        /// It may not.
        Locked = "locked",
    }
}

impl Resource for Account {
    const ONE: &'static str = "account";
    const MANY: &'static str = "accounts";
}

/// See [`Client::account`].
#[derive(Debug, Clone, Copy)]
pub struct AccountApi<'c>(pub(crate) &'c Client);

impl AccountApi<'_> {
    /// The account. The cheapest way to try a token.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self) -> Result<Account, Error> {
        self.0
            .one(&Call::get("read the account", ["account"]))
            .await
    }
}
