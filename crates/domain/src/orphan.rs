//! Things at a provider that carry this installation's mark and belong to no environment (ENV-8).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{EnvironmentId, OrphanId};

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderThing {
    /// A machine: it is billed.
    Machine,
    /// A firewall of one machine.
    Firewall,
}

/// Why it belongs to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrphanReason {
    /// It has our mark, but not whose it is: that it is ours can't be proved.
    Unmarked,
    /// It is marked with an environment that the database does not know.
    UnknownEnvironment,
    /// Its environment is gone, or has no machine.
    Leftover,
    /// Its environment has another one.
    Duplicate,
}

/// What is done with orphans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrphanPolicy {
    /// They are told of.
    #[default]
    Report,
    /// Those that prove to be ours are removed when they have been orphans for a while.
    Remove,
}

/// An orphan that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its id here.
    pub id: OrphanId,
    /// What it is.
    pub kind: ProviderThing,
    /// The provider's id of it.
    pub provider_id: String,
    /// Its name at the provider.
    pub name: String,
    /// The environment that it is marked with.
    pub environment_id: Option<EnvironmentId>,
    /// Why it belongs to nobody.
    pub reason: OrphanReason,
    /// What it costs a month, in US cents.
    pub monthly_price_cents: Option<u32>,
    /// When the provider says it was made.
    pub provider_created_at: Option<DateTime<Utc>>,
    /// When it was first found, by the control plane's clock.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last found.
    pub last_seen_at: DateTime<Utc>,
    /// Since when it is to be removed, by an admin's word or by policy.
    pub removal_requested_at: Option<DateTime<Utc>>,
}
