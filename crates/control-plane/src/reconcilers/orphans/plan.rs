//! Which of the things at a provider belong to nobody, and which of those may be removed. Pure.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_cloud::{Found, ProviderThing};
use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::{Environment, EnvironmentStatus};
use agentopia_domain::orphan::{Orphan, OrphanPolicy, OrphanReason};
use chrono::{DateTime, TimeDelta, Utc};

/// How long something has to be an orphan before it is removed: longer than anything takes that is
/// under way, and long enough for people to read of it.
pub const SETTLE: Duration = Duration::from_secs(30 * 60);

/// Why something belongs to nobody; `None` if it belongs to somebody, or may soon. `known` must
/// have been read after it was found: who makes a machine writes down its environment first.
#[must_use]
pub fn orphaned(
    found: &Found,
    known: &HashMap<EnvironmentId, Environment>,
) -> Option<OrphanReason> {
    use EnvironmentStatus as S;
    let Some(id) = found.environment else {
        return Some(OrphanReason::Unmarked);
    };
    let Some(environment) = known.get(&id) else {
        return Some(OrphanReason::UnknownEnvironment);
    };
    match (environment.status, found.kind) {
        (S::Deleted | S::ErrorCreation, _) => Some(OrphanReason::Leftover),
        // Its own reconciler is at it.
        (
            S::PendingCreation | S::Creating | S::PendingDeletion | S::Deleting | S::ErrorDeletion,
            _,
        )
        | (S::Active | S::Scaling | S::Unresponsive, ProviderThing::Firewall) => None,
        (S::Active | S::Scaling | S::Unresponsive, ProviderThing::Machine) => {
            let own = environment.machine_id.as_ref() == Some(&found.id);
            (!own && environment.machine_id.is_some()).then_some(OrphanReason::Duplicate)
        }
    }
}

/// Whether an orphan may be removed now.
#[must_use]
pub fn may_go(orphan: &Orphan, policy: OrphanPolicy, now: DateTime<Utc>) -> bool {
    let settled =
        now - orphan.first_seen_at >= TimeDelta::from_std(SETTLE).unwrap_or(TimeDelta::MAX);
    policy == OrphanPolicy::Remove && orphan.reason != OrphanReason::Unmarked && settled
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
