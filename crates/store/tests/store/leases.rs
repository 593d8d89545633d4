//! The reconcilers' queue under contention.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentopia_domain::environment::{EnvironmentEvent, EnvironmentStatus};
use agentopia_domain::instance::{InstanceEvent, InstanceStatus};
use agentopia_store::{
    Claim, EnvironmentPatch, InstanceIntent, InstancePatch, LeaseKind, Store, StoreError,
};
use futures::future::join_all;
use uuid::Uuid;

use crate::common::{TestDb, on_both_engines, wait_for};
use crate::fixtures::{assert_refused, event, no_limit};

on_both_engines!(
    no_row_is_held_twice_and_none_starves,
    turns_are_even,
    what_a_dead_reconciler_held_is_claimed_again,
    what_the_dead_held_is_free_when_the_next_one_says_so,
    who_lost_the_lease_writes_nothing,
    a_wake_during_a_lease_is_not_lost,
    a_row_is_due_when_it_was_said_to_be,
    intent_wakes,
    a_change_of_the_machines_status_wakes_its_tools,
    environments_have_a_queue_of_their_own,
);

const KIND: LeaseKind = LeaseKind::Instance;
const LONG: Duration = Duration::from_secs(600);

async fn claim(store: &Store, ttl: Duration) -> Vec<Claim> {
    store
        .leases()
        .claim_due(KIND, "test", ttl, 100)
        .await
        .unwrap()
}

async fn no_row_is_held_twice_and_none_starves(db: TestDb) {
    const ROWS: usize = 40;
    const ROUNDS: usize = 6;
    let account = db.account("a@b.c").await;
    for n in 0..ROWS {
        db.instance(account, &format!("tool {n}")).await;
    }
    let replicas = [db.store.clone(), db.another_replica().await];
    let held: Arc<Mutex<HashMap<Uuid, bool>>> = Arc::default();
    let counts: Arc<Mutex<HashMap<Uuid, usize>>> = Arc::default();
    let workers: Vec<_> = (0..12)
        .map(|n| {
            let store = replicas[n % 2].clone();
            let (held, counts) = (held.clone(), counts.clone());
            tokio::spawn(async move {
                loop {
                    let claims = store
                        .leases()
                        .claim_due(KIND, &format!("worker {n}"), LONG, 3)
                        .await
                        .unwrap();
                    assert!(claims.len() <= 3);
                    for claim in &claims {
                        let before = held.lock().unwrap().insert(claim.id, true);
                        assert_ne!(before, Some(true), "{} is held twice", claim.id);
                    }
                    for claim in claims {
                        tokio::task::yield_now().await;
                        *counts.lock().unwrap().entry(claim.id).or_default() += 1;
                        held.lock().unwrap().insert(claim.id, false);
                        store
                            .leases()
                            .release(KIND, claim.id, claim.token, Some(Duration::ZERO))
                            .await
                            .unwrap();
                    }
                    let counts = counts.lock().unwrap();
                    if counts.len() == ROWS && counts.values().all(|turns| *turns >= ROUNDS) {
                        return;
                    }
                }
            })
        })
        .collect();
    let all = tokio::time::timeout(Duration::from_secs(30), join_all(workers)).await;
    let Ok(all) = all else {
        panic!("a row starved: {:?}", counts.lock().unwrap())
    };
    for worker in all {
        worker.unwrap();
    }
}

async fn turns_are_even(db: TestDb) {
    let account = db.account("a@b.c").await;
    for n in 0..10 {
        db.instance(account, &format!("tool {n}")).await;
    }
    let leases = db.store.leases();
    let mut turns: HashMap<Uuid, usize> = HashMap::new();
    for _ in 0..20 {
        for claim in leases.claim_due(KIND, "test", LONG, 3).await.unwrap() {
            *turns.entry(claim.id).or_default() += 1;
            let at_once = Some(Duration::ZERO);
            leases
                .release(KIND, claim.id, claim.token, at_once)
                .await
                .unwrap();
        }
    }
    // 60 turns for 10 rows; the order within one claim is the database's, so one more or less.
    let even = |turns: &usize| (5..=7).contains(turns);
    assert!(turns.len() == 10 && turns.values().all(even), "{turns:?}");
}

async fn what_the_dead_held_is_free_when_the_next_one_says_so(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let first = claim(&db.store, LONG).await;
    let next = db.another_replica().await;
    assert!(claim(&next, LONG).await.is_empty(), "it is held");
    next.leases()
        .release_all(LeaseKind::Environment)
        .await
        .unwrap();
    assert!(claim(&next, LONG).await.is_empty(), "only of that kind");
    next.leases().release_all(KIND).await.unwrap();
    let second = claim(&next, LONG).await;
    assert_eq!(second.iter().map(Claim::instance).collect::<Vec<_>>(), [id]);
    let leases = db.store.leases();
    assert_refused!(
        leases
            .release(KIND, first[0].id, first[0].token, None)
            .await,
        StoreError::LeaseLost { .. },
    );
}

async fn what_a_dead_reconciler_held_is_claimed_again(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let first = claim(&db.store, Duration::from_millis(300)).await;
    assert_eq!(first.iter().map(Claim::instance).collect::<Vec<_>>(), [id]);
    assert!(claim(&db.store, LONG).await.is_empty(), "it is held");
    // It never comes back. Another replica takes over by itself.
    let other = db.another_replica().await;
    let second: Arc<Mutex<Vec<Claim>>> = Arc::default();
    wait_for("the lease to end", || async {
        let claims = claim(&other, LONG).await;
        let taken = !claims.is_empty();
        second.lock().unwrap().extend(claims);
        taken
    })
    .await;
    let second = second.lock().unwrap()[0];
    assert_eq!(second.instance(), id);
    // The dead one wakes up: it may neither renew nor release what is another's now.
    let leases = db.store.leases();
    assert_refused!(
        leases.renew(KIND, first[0].id, first[0].token, LONG).await,
        StoreError::LeaseLost { what: "instance" },
    );
    assert_refused!(
        leases
            .release(KIND, first[0].id, first[0].token, None)
            .await,
        StoreError::LeaseLost { .. },
    );
    leases
        .renew(KIND, second.id, second.token, LONG)
        .await
        .unwrap();
    leases
        .release(KIND, second.id, second.token, None)
        .await
        .unwrap();
    assert_refused!(
        leases.renew(KIND, second.id, second.token, LONG).await,
        StoreError::LeaseLost { .. },
    );
}

async fn who_lost_the_lease_writes_nothing(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let instances = db.store.instances();
    let lost = claim(&db.store, Duration::ZERO).await[0].token;
    let holder = claim(&db.store, LONG).await[0].token;
    let patch = InstancePatch::default;
    let told = [event(account, "instance.status_changed")];
    let (from, begun) = (InstanceStatus::PendingStart, InstanceEvent::StartBegun);
    assert_refused!(
        instances
            .transition_unscoped(id, Some(lost), from, begun, patch(), &told)
            .await,
        StoreError::LeaseLost { .. },
    );
    assert_refused!(
        instances
            .update_unscoped(id, Some(lost), patch(), &told)
            .await,
        StoreError::LeaseLost { .. },
    );
    assert!(db.kinds().await.is_empty());
    let moved = instances
        .transition_unscoped(id, Some(holder), from, begun, patch(), &told)
        .await;
    assert_eq!(moved.unwrap().status, InstanceStatus::Starting);
    db.store
        .leases()
        .release(KIND, id.as_uuid(), holder, None)
        .await
        .unwrap();
    assert_refused!(
        instances
            .update_unscoped(id, Some(holder), patch(), &told)
            .await,
        StoreError::LeaseLost { .. },
    );
}

async fn a_wake_during_a_lease_is_not_lost(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id.as_uuid();
    let leases = db.store.leases();
    let held = claim(&db.store, LONG).await[0];
    leases.wake(KIND, id).await.unwrap();
    assert!(
        claim(&db.store, LONG).await.is_empty(),
        "a wake does not break a lease"
    );
    leases
        .release(KIND, id, held.token, Some(LONG))
        .await
        .unwrap();
    let again = claim(&db.store, LONG).await;
    assert_eq!(again.len(), 1, "due at once, not in ten minutes");
    leases
        .release(KIND, id, again[0].token, Some(LONG))
        .await
        .unwrap();
    assert!(
        claim(&db.store, LONG).await.is_empty(),
        "one wake, one turn"
    );
    leases.wake(KIND, db.id()).await.unwrap();
}

async fn a_row_is_due_when_it_was_said_to_be(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id.as_uuid();
    let leases = db.store.leases();
    let is_due = async || leases.is_any_due(KIND).await.unwrap();
    assert!(is_due().await, "a new one");
    let held = claim(&db.store, LONG).await[0];
    assert!(!is_due().await, "somebody holds it");
    leases.release(KIND, id, held.token, None).await.unwrap();
    assert!(!is_due().await && claim(&db.store, LONG).await.is_empty());
    leases.wake(KIND, id).await.unwrap();
    assert!(is_due().await, "it was woken");
    let held = claim(&db.store, LONG).await[0];
    let soon = Duration::from_millis(300);
    leases
        .release(KIND, id, held.token, Some(soon))
        .await
        .unwrap();
    assert!(claim(&db.store, LONG).await.is_empty(), "not yet");
    wait_for("it to be due", is_due).await;
    assert_eq!(claim(&db.store, LONG).await.len(), 1);
}

async fn intent_wakes(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let held = claim(&db.store, LONG).await[0];
    db.store
        .leases()
        .release(KIND, held.id, held.token, None)
        .await
        .unwrap();
    let instances = db.store.instances();
    instances
        .set_intent(account, id, InstanceIntent::Stop, no_limit, &[])
        .await
        .unwrap();
    assert_eq!(claim(&db.store, LONG).await.len(), 1);
}

async fn a_change_of_the_machines_status_wakes_its_tools(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    for tool in ["one", "two"] {
        db.instance(account, tool).await;
    }
    let other = db.account("d@e.f").await;
    db.instance(other, "another's").await;
    let leases = db.store.leases();
    for held in claim(&db.store, LONG).await {
        leases
            .release(KIND, held.id, held.token, None)
            .await
            .unwrap();
    }
    let environments = db.store.environments();
    let from = EnvironmentStatus::PendingCreation;
    let begun = EnvironmentEvent::CreateStarted;
    let patch = EnvironmentPatch::default();
    environments
        .transition_unscoped(environment, None, from, begun, patch, &[])
        .await
        .unwrap();
    assert_eq!(claim(&db.store, LONG).await.len(), 2);
}

async fn environments_have_a_queue_of_their_own(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await;
    assert!(claim(&db.store, LONG).await.is_empty());
    let kind = LeaseKind::Environment;
    let leases = db.store.leases();
    let lost = leases
        .claim_due(kind, "a", Duration::ZERO, 5)
        .await
        .unwrap()[0];
    let held = leases.claim_due(kind, "b", LONG, 5).await.unwrap()[0];
    assert_eq!(held.environment(), environment.id);
    let environments = db.store.environments();
    let step = async |token| {
        let (from, event) = (
            EnvironmentStatus::PendingCreation,
            EnvironmentEvent::CreateStarted,
        );
        let patch = EnvironmentPatch::default();
        environments
            .transition_unscoped(environment.id, Some(token), from, event, patch, &[])
            .await
    };
    assert_refused!(
        step(lost.token).await,
        StoreError::LeaseLost {
            what: "environment"
        }
    );
    assert_eq!(
        step(held.token).await.unwrap().status,
        EnvironmentStatus::Creating
    );
}
