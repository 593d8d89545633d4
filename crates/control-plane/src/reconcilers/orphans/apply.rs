//! Looks at everything that the provider has of ours, writes down what belongs to nobody, and
//! removes what may go, by policy or because an admin said so.
//!
//! A removal is written down before it begins and stands until the provider itself says that the
//! thing is gone: whoever dies in between leaves a row from which the next search goes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::{Deletion, Found, MachineProvider, Proof, ProviderError};
use agentopia_domain::environment::Environment;
use agentopia_domain::event::{Actor, NewEvent, ObjectKind, Outcome};
use agentopia_domain::orphan::{Orphan, OrphanPolicy, OrphanReason, ProviderThing};
use agentopia_domain::page::PageRequest;
use agentopia_domain::{Ambient, EnvironmentId};
use agentopia_store::{Claim, LeaseKind, Store, StoreError};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::plan::{may_go, orphaned};
use crate::reconcilers::queue::{Next, Reconcile};

/// How often everything is looked at.
const INTERVAL: Duration = Duration::from_secs(600);
/// How soon again after the provider gave no answer.
const RETRY: Duration = Duration::from_secs(60);
/// How soon a removal under way is looked at again.
const REMOVAL_POLL: Duration = Duration::from_secs(10);
/// How long something has to be an orphan before people are told: what is just being taken away
/// is none of their concern.
const QUIET: TimeDelta = TimeDelta::minutes(5);

/// See the module's header.
#[derive(Debug)]
pub struct OrphanSearch {
    /// Where everything is kept.
    pub store: Store,
    /// Has the things.
    pub provider: Arc<dyn MachineProvider>,
    /// What is done with orphans.
    pub policy: OrphanPolicy,
    /// Time.
    pub ambient: Ambient,
}

#[async_trait]
impl Reconcile for OrphanSearch {
    fn kind(&self) -> LeaseKind {
        LeaseKind::Job
    }

    async fn reconcile(&self, _: Claim) -> anyhow::Result<Next> {
        let found = match self.provider.inventory().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the search for orphans is put off");
                return Ok(Next::After(RETRY));
            }
        };
        // Only now: who makes a machine writes down its environment first.
        let known = self.environments().await?;
        let before = self.store.orphans().list().await?;
        let now = self.ambient.now();
        let (mut orphans, mut events) = (Vec::new(), Vec::new());
        for thing in &found {
            if let Some(reason) = orphaned(thing, &known) {
                orphans.push(self.orphan(thing, reason, &before, now));
            }
        }
        // What is on its way out may have left the list and still be there.
        let leaving = before.iter().filter(|each| {
            each.removal_requested_at.is_some() && !found.iter().any(|thing| is_of(thing, each))
        });
        orphans.extend(leaving.cloned());
        for orphan in &mut orphans {
            events.extend(told(orphan, &before));
            if orphan.removal_requested_at.is_none() && may_go(orphan, self.policy, now) {
                orphan.removal_requested_at = Some(now);
                events.push(event(
                    orphan,
                    "orphan.removal_requested",
                    "is to go by policy",
                ));
            }
        }
        self.store.orphans().replace(&orphans, &events).await?;
        let mut next = INTERVAL;
        for orphan in orphans {
            if orphan.removal_requested_at.is_some()
                && self.remove(&orphan).await? == Removal::Pending
            {
                next = REMOVAL_POLL;
            }
        }
        Ok(Next::After(next))
    }
}

impl OrphanSearch {
    async fn environments(&self) -> Result<HashMap<EnvironmentId, Environment>, StoreError> {
        let mut known = HashMap::new();
        let mut page = PageRequest::default();
        loop {
            let read = self.store.environments().list_unscoped(page).await?;
            known.extend(read.items.into_iter().map(|each| (each.id, each)));
            match read.next {
                Some(after) => page.after = Some(after),
                None => return Ok(known),
            }
        }
    }

    fn orphan(
        &self,
        thing: &Found,
        reason: OrphanReason,
        before: &[Orphan],
        now: DateTime<Utc>,
    ) -> Orphan {
        // Somebody else's reason begins anew.
        let same = |orphan: &&Orphan| is_of(thing, orphan) && orphan.reason == reason;
        let seen = before.iter().find(same);
        Orphan {
            id: seen.map_or_else(|| self.ambient.new_id(), |seen| seen.id),
            kind: thing.kind,
            provider_id: thing.id.clone(),
            name: thing.name.clone(),
            environment_id: thing.environment,
            reason,
            monthly_price_cents: thing.monthly_price_cents,
            provider_created_at: thing.created_at,
            first_seen_at: seen.map_or(now, |seen| seen.first_seen_at),
            last_seen_at: now,
            removal_requested_at: seen.and_then(|seen| seen.removal_requested_at),
        }
    }

    /// Removes it, if it still is an orphan at this very moment.
    async fn remove(&self, orphan: &Orphan) -> anyhow::Result<Removal> {
        let thing = thing(orphan);
        if let Some(id) = thing.environment {
            let known = match self.store.environments().get_unscoped(id).await {
                Ok(environment) => HashMap::from([(id, environment)]),
                Err(StoreError::NotFound { .. }) => HashMap::new(),
                Err(error) => return Err(error.into()),
            };
            if orphaned(&thing, &known) != Some(orphan.reason) {
                return Ok(Removal::Over);
            }
        }
        // Without its name nobody could ask for what bears no other mark.
        let proof = match orphan.reason {
            OrphanReason::Unmarked => Proof::Named,
            _ => Proof::Marks,
        };
        match self.provider.remove_found(&thing, proof).await {
            Ok(Deletion::Gone) => {
                let event = event(orphan, "orphan.removed", "was removed");
                self.store.orphans().forget(orphan.id, &[event]).await?;
                Ok(Removal::Over)
            }
            Ok(Deletion::InProgress) => Ok(Removal::Pending),
            Err(ProviderError::Retryable(why)) => {
                tracing::info!(orphan = %orphan.provider_id, why, "it can't be removed now");
                Ok(Removal::Pending)
            }
            Err(ProviderError::Final(why)) => {
                let text = format!("could not be removed: {why}");
                let event = event(orphan, "orphan.removal_failed", &text).outcome(Outcome::Failed);
                let orphans = self.store.orphans();
                orphans.withdraw_removal(orphan.id, &[event]).await?;
                Ok(Removal::Over)
            }
        }
    }
}

/// How a removal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// It is to be looked at again soon.
    Pending,
    /// The thing is gone, or stays.
    Over,
}

/// What was written down of it.
fn thing(orphan: &Orphan) -> Found {
    Found {
        kind: orphan.kind,
        id: orphan.provider_id.clone(),
        name: orphan.name.clone(),
        environment: orphan.environment_id,
        monthly_price_cents: orphan.monthly_price_cents,
        created_at: orphan.provider_created_at,
    }
}

fn is_of(thing: &Found, orphan: &Orphan) -> bool {
    thing.kind == orphan.kind && thing.id == orphan.provider_id
}

/// Tells admins of an orphan once, when it has been one for a while.
fn told(orphan: &Orphan, before: &[Orphan]) -> Option<NewEvent> {
    let seen = before.iter().find(|seen| seen.id == orphan.id)?;
    let was = seen.last_seen_at - seen.first_seen_at;
    let is = orphan.last_seen_at - orphan.first_seen_at;
    (was < QUIET && is >= QUIET).then(|| {
        let text = match orphan.reason {
            OrphanReason::Unmarked => "has our mark, but not whose it is",
            OrphanReason::UnknownEnvironment => {
                "is marked with an environment that this database does not know"
            }
            OrphanReason::Leftover => "belongs to an environment that has no machine",
            OrphanReason::Duplicate => "belongs to an environment that has another machine",
        };
        event(orphan, "orphan.found", text)
    })
}

fn event(orphan: &Orphan, kind: &'static str, what: &str) -> NewEvent {
    let thing = match orphan.kind {
        ProviderThing::Machine => "machine",
        ProviderThing::Firewall => "firewall",
    };
    let message = format!(
        "The {thing} {} ({}) at the provider {what}.",
        orphan.provider_id, orphan.name
    );
    tracing::warn!(kind, "{message}");
    NewEvent {
        account_id: None,
        actor: Actor::System,
        kind,
        object: (ObjectKind::Orphan, orphan.id.as_uuid()),
        outcome: Outcome::Succeeded,
        message,
        data: json!({
            "kind": orphan.kind,
            "provider_id": orphan.provider_id,
            "environment_id": orphan.environment_id,
            "reason": orphan.reason,
            "monthly_price_cents": orphan.monthly_price_cents,
        }),
        source_ip: None,
        request_id: None,
    }
}
