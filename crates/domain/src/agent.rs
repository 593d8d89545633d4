//! An AI agent that a user owns (AGT-1).

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};

use crate::ids::{AccountId, AgentId};
use crate::name::Name;

/// The record of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id; part of its endpoint's address.
    pub id: AgentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: Name,
    /// A few sentences, at most 2,000 characters.
    pub description: String,
    /// Whether it sees two tools, `find_tool` and `call_tool`, in place of all (AGT-11).
    pub search_mode: bool,
    /// How many calls it may make in a day (UTC); `None` is as many as it likes.
    pub calls_per_day: Option<NonZeroU32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}
