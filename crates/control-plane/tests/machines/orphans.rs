//! The search for orphans on the simulator: what belongs to nobody is told of, and removed only
//! where the operator wants it, after a while, and if it proves to be ours.

use std::sync::Arc;

use agentopia_control_plane::reconcilers::orphans::OrphanSearch;
use agentopia_control_plane::reconcilers::queue::{Next, Reconcile as _};
use agentopia_domain::event::Event;
use agentopia_domain::orphan::{Orphan, OrphanPolicy, OrphanReason};
use agentopia_store::{Claim, EventFilter, EventScope, LeaseKind};

use crate::droplets::Droplets;

struct Search {
    droplets: Droplets,
    search: OrphanSearch,
    claim: Claim,
}

impl Search {
    async fn new(policy: OrphanPolicy) -> Self {
        let droplets = Droplets::active().await;
        let store = droplets.at.store.clone();
        store.orphans().begin_searching().await.unwrap();
        store.orphans().begin_searching().await.unwrap();
        let ttl = std::time::Duration::from_secs(3600);
        let claims = store
            .leases()
            .claim_due(LeaseKind::Job, "test", ttl, 10)
            .await;
        let [claim] = claims.unwrap()[..] else {
            panic!("one job");
        };
        let other = store
            .leases()
            .claim_due(LeaseKind::Job, "other", ttl, 10)
            .await;
        assert!(other.unwrap().is_empty(), "one replica searches");
        let search = OrphanSearch {
            store,
            provider: Arc::clone(&droplets.reconciler.provider),
            policy,
            ambient: droplets.at.ambient.clone(),
        };
        Self {
            droplets,
            search,
            claim,
        }
    }

    /// Searches every ten minutes for so long; the environment is looked after as ever.
    async fn run(&mut self, minutes: u64) -> Vec<Orphan> {
        for _ in 0..minutes / 10 {
            self.search.reconcile(self.claim).await.unwrap();
            self.droplets.step().await;
            self.droplets.pass(600).await;
        }
        self.search.reconcile(self.claim).await.unwrap();
        self.search.store.orphans().list().await.unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let droplets = self.droplets.droplets().await;
        droplets.into_iter().map(|droplet| droplet.name).collect()
    }

    async fn told(&self) -> Vec<Event> {
        let (scope, filter) = (EventScope::Everything, EventFilter::default());
        let events = self
            .search
            .store
            .events()
            .after(scope, &filter, 0, 1000)
            .await;
        let mut events = events.unwrap();
        events.retain(|event| event.kind.starts_with("orphan."));
        events
    }
}

const NOBODYS: &str = "env:0199c0de-0000-7000-8000-0000000000ff";

#[tokio::test]
async fn orphans_are_told_of_once_and_stay_unless_the_operator_wants_them_gone() {
    let mut at = Search::new(OrphanPolicy::Report).await;
    at.droplets
        .stranger("nobodys", &["agentopia:test", NOBODYS])
        .await;
    at.droplets.stranger("unmarked", &["agentopia:test"]).await;
    at.droplets.stranger("web", &["web"]).await;
    let found = at.run(120).await;
    let mut reasons: Vec<_> = found
        .iter()
        .map(|orphan| (orphan.name.as_str(), orphan.reason))
        .collect();
    reasons.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(
        reasons,
        [
            ("nobodys", OrphanReason::UnknownEnvironment),
            ("unmarked", OrphanReason::Unmarked)
        ]
    );
    assert_eq!(found[0].monthly_price_cents, Some(600));
    assert!(
        found
            .iter()
            .all(|orphan| orphan.last_seen_at > orphan.first_seen_at)
    );
    assert_eq!(at.names().await.len(), 4, "nothing was removed");
    let told = at.told().await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|event| event.kind == "orphan.found"));
    assert!(told.iter().all(|event| event.account_id.is_none()));
}

#[tokio::test]
async fn what_proves_to_be_ours_goes_after_a_while_and_nothing_else() {
    let mut at = Search::new(OrphanPolicy::Remove).await;
    at.droplets
        .stranger("nobodys", &["agentopia:test", NOBODYS])
        .await;
    at.droplets.stranger("unmarked", &["agentopia:test"]).await;
    at.droplets
        .stranger("others", &["agentopia:other", NOBODYS])
        .await;
    at.run(20).await;
    assert!(at.names().await.contains(&"nobodys".to_owned()), "not yet");
    let left = at.run(60).await;
    let names = at.names().await;
    assert!(!names.contains(&"nobodys".to_owned()), "{names:?}");
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(left.len(), 1);
    let told = at.told().await;
    let of = |kind: &str| told.iter().filter(|event| event.kind == kind).count();
    assert_eq!(of("orphan.removal_requested"), 1, "{told:?}");
    assert_eq!(of("orphan.removed"), 1, "{told:?}");
    let now = at.droplets.now().await;
    assert!(now.status.serves(), "its own machine was never touched");
    // Somebody removed the other one by hand.
    let unmarked = at.droplets.droplets().await;
    let unmarked = unmarked.iter().find(|droplet| droplet.name == "unmarked");
    at.droplets.simulator.destroy(unmarked.unwrap().id).await;
    assert!(at.run(10).await.is_empty());
}

#[tokio::test]
async fn an_orphan_goes_when_an_admin_says_so_and_is_told_of_when_it_is_gone() {
    let mut at = Search::new(OrphanPolicy::Report).await;
    at.droplets
        .stranger("nobodys", &["agentopia:test", NOBODYS])
        .await;
    at.droplets.stranger("unmarked", &["agentopia:test"]).await;
    at.droplets.stranger("also", &["agentopia:test"]).await;
    let found = at.run(10).await;
    assert_eq!(found.len(), 3, "{found:?}");
    let orphans = at.search.store.orphans();
    for orphan in found.iter().filter(|orphan| orphan.name != "also") {
        orphans.request_removal(orphan.id, &[]).await.unwrap();
    }
    // One pass asks for the end; nobody calls that an end yet.
    let next = at.search.reconcile(at.claim).await.unwrap();
    assert!(matches!(next, Next::After(soon) if soon.as_secs() <= 10));
    assert_eq!(at.search.store.orphans().list().await.unwrap().len(), 3);
    let told = at.told().await;
    assert!(told.iter().all(|event| event.kind != "orphan.removed"));
    // The control plane dies in between; another one goes on from what is written down.
    at.search.provider = Arc::clone(&{
        at.droplets.restart();
        Arc::clone(&at.droplets.reconciler.provider)
    });
    for _ in 0..6 {
        at.droplets.pass(10).await;
        at.search.reconcile(at.claim).await.unwrap();
    }
    let left = at.search.store.orphans().list().await.unwrap();
    let left: Vec<_> = left.iter().map(|orphan| orphan.name.as_str()).collect();
    assert_eq!(left, ["also"]);
    let names = at.names().await;
    assert_eq!(names.len(), 2, "{names:?}");
    let told = at.told().await;
    let removed = told.iter().filter(|event| event.kind == "orphan.removed");
    assert_eq!(removed.count(), 2, "{told:?}");
    assert!(at.droplets.now().await.status.serves());
}

#[tokio::test]
async fn what_lost_our_mark_after_the_word_stays_and_admins_are_told() {
    let mut at = Search::new(OrphanPolicy::Report).await;
    at.droplets.stranger("unmarked", &["agentopia:test"]).await;
    let found = at.run(10).await;
    let orphans = at.search.store.orphans();
    orphans.request_removal(found[0].id, &[]).await.unwrap();
    at.droplets.delete_tag("agentopia:test").await;
    at.search.reconcile(at.claim).await.unwrap();
    at.droplets.pass(60).await;
    assert!(at.names().await.contains(&"unmarked".to_owned()));
    let told = at.told().await;
    let failed: Vec<_> = told
        .iter()
        .filter(|event| event.kind == "orphan.removal_failed")
        .collect();
    assert_eq!(failed.len(), 1, "{told:?}");
    assert!(failed[0].message.contains("control panel"), "{failed:?}");
    assert!(at.run(0).await.is_empty(), "it is none of ours any more");
}

#[tokio::test]
async fn a_droplet_that_turns_up_after_its_environment_was_deleted_goes() {
    let mut at = Search::new(OrphanPolicy::Report).await;
    let disabled = agentopia_domain::environment::DesiredEnvironment::Disabled;
    let environments = at.search.store.environments();
    environments
        .set_desired(at.droplets.account, disabled, &[])
        .await
        .unwrap();
    let deleted = agentopia_domain::environment::EnvironmentStatus::Deleted;
    at.droplets.until(|now| now.status == deleted).await;
    let env = format!("env:{}", at.droplets.environment);
    at.droplets
        .stranger("late", &["agentopia:test", &env])
        .await;
    let found = at.run(0).await;
    assert_eq!(found[0].reason, OrphanReason::Leftover);
    // Its environment is looked at every hour; that takes it away whatever the policy is.
    for _ in 0..5 {
        at.droplets.step().await;
        at.droplets.pass(60).await;
    }
    assert!(at.droplets.droplets().await.is_empty());
    assert!(at.run(0).await.is_empty());
}
