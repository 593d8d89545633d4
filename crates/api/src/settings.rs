//! What an account's owner decided for all of its agents (AGT-8).

use std::num::NonZeroU32;

use agentopia_domain::account;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The settings of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Settings {
    /// Whether arguments and results of calls are kept with them, without what looks like a secret and at most
    /// 8 KiB each.
    pub keep_payloads: bool,
    /// How many calls all agents of the account may make in a day (UTC); null is as many as they like.
    pub calls_per_day: Option<u32>,
    /// When they last changed; null is never.
    pub updated_at: Option<DateTime<Utc>>,
}

impl From<account::AccountSettings> for Settings {
    fn from(settings: account::AccountSettings) -> Self {
        Self {
            keep_payloads: settings.keep_payloads,
            calls_per_day: settings.calls_per_day.map(NonZeroU32::get),
            updated_at: settings.updated_at,
        }
    }
}

/// Changes settings; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSettingsRequest {
    /// Whether arguments and results of calls are kept from now on. With `false`, what was kept is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_payloads: Option<bool>,
    /// How many calls all agents of the account may make in a day (UTC); 0 is as many as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_day: Option<u32>,
}
