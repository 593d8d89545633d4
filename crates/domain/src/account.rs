//! What an account's owner decided for all of its agents (AGT-8).

use std::num::NonZeroU32;

use chrono::{DateTime, NaiveDate, Utc};

use crate::ids::{AccountId, AgentId};

/// The settings of an account. The default is that of an account whose owner never changed any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountSettings {
    /// Whether arguments and results of calls are kept with them, as far as [`crate::redact`] lets through.
    pub keep_payloads: bool,
    /// How many calls all agents and people of the account may make in a day (UTC); `None` is as many as
    /// they like.
    pub calls_per_day: Option<NonZeroU32>,
    /// When they last changed; `None` is never.
    pub updated_at: Option<DateTime<Utc>>,
}

/// How many calls were made in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    /// Whose.
    pub account_id: AccountId,
    /// By this agent; `None` is by everybody of the account.
    pub agent_id: Option<AgentId>,
    /// The day, UTC.
    pub day: NaiveDate,
    /// How many, without those that were refused by a limit of ours.
    pub calls: u64,
}
