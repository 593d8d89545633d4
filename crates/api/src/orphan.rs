//! Things at the provider that carry this installation's mark and belong to nobody (ENV-8).

use agentopia_domain::orphan::{OrphanPolicy, OrphanReason, ProviderThing};
use agentopia_domain::{EnvironmentId, OrphanId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the last search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Orphans {
    /// What is done with them.
    pub policy: OrphanPolicy,
    /// For how many seconds something has to be an orphan before it is removed, where that is the
    /// policy.
    pub removed_after_seconds: u64,
    /// The orphans, the oldest first.
    pub items: Vec<Orphan>,
}

/// An orphan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// When it was first found.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last found.
    pub last_seen_at: DateTime<Utc>,
    /// Since when it is to be removed, by an admin's word or by policy. It is listed until the
    /// provider itself says that it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal_requested_at: Option<DateTime<Utc>>,
}

/// That an orphan is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveOrphanRequest {
    /// Its name. Needed where nothing proves that it is this installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl From<agentopia_domain::orphan::Orphan> for Orphan {
    fn from(orphan: agentopia_domain::orphan::Orphan) -> Self {
        Self {
            id: orphan.id,
            kind: orphan.kind,
            provider_id: orphan.provider_id,
            name: orphan.name,
            environment_id: orphan.environment_id,
            reason: orphan.reason,
            monthly_price_cents: orphan.monthly_price_cents,
            provider_created_at: orphan.provider_created_at,
            first_seen_at: orphan.first_seen_at,
            last_seen_at: orphan.last_seen_at,
            removal_requested_at: orphan.removal_requested_at,
        }
    }
}
