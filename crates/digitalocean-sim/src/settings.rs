//! What can be set about a simulated account: limits, policies where DigitalOcean's own behaviour is
//! unsettled, how long things take ([`Delays`]), and who may call ([`Token`]).
//!
//! Settings can be changed while the simulator runs; they hold for what begins afterwards.

mod delays;
mod tokens;

use serde::{Deserialize, Serialize};

pub use delays::{Delay, DelayError, Delays};
pub use tokens::{FULL_TOKEN, READ_TOKEN, Scopes, Token};
pub(crate) use tokens::{find_token, standard_tokens};

/// The account's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many droplets the account may have.
    pub droplet_limit: u32,
    /// The account's status, as `GET /v2/account` tells it.
    pub account_status: AccountStatus,
    /// How many requests a token may send.
    pub rate_limits: RateLimits,
    /// What a resize of a droplet does that is on.
    pub resize_while_on: ResizeWhileOn,
    /// What `power_on` of a droplet does that is on, and `power_off` of one that is off.
    pub redundant_power: RedundantPower,
    /// How long things take.
    pub delays: Delays,
    /// What links begin with (`https://api.digitalocean.com`); by default the request's own host.
    pub public_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // What a new account gets.
            droplet_limit: 25,
            account_status: AccountStatus::Active,
            rate_limits: RateLimits::default(),
            resize_while_on: ResizeWhileOn::Refuse,
            redundant_power: RedundantPower::Accept,
            delays: Delays::default(),
            public_url: None,
        }
    }
}

/// The account's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// All is well.
    Active,
    /// There is something to settle.
    Warning,
    /// Closed.
    Locked,
}

/// Requests a token may send. DigitalOcean: 5,000 an hour and 250 a minute, sliding; the list of SSH
/// keys 10 times a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Requests in any hour.
    pub hourly: u32,
    /// Requests in any minute.
    pub burst: u32,
    /// Calls of `GET /v2/account/keys` in any minute.
    pub keys: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            hourly: 5_000,
            burst: 250,
            keys: 10,
        }
    }
}

/// What DigitalOcean does here is unsettled: its documents say to power off first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeWhileOn {
    /// 422.
    Refuse,
    /// The droplet is powered off first, and stays off.
    PowerOff,
}

/// Unsettled as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedundantPower {
    /// An action that completes and changes nothing.
    Accept,
    /// 422.
    Refuse,
}
