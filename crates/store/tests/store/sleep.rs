//! Tools that are stopped while nobody uses them (TOOL-9).

use std::time::Duration;

use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::{
    DesiredInstance, Instance, InstanceEvent as E, InstanceStatus as S,
};
use agentopia_domain::{AccountId, InstanceId};
use agentopia_store::{InstanceIntent as I, InstancePatch, LeaseKind, LeaseToken, Reconfigure};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{definition, event, no_limit};

on_both_engines!(
    one_that_is_not_used_falls_asleep_and_of_many_who_wake_it_one_does,
    who_is_used_at_the_last_moment_stays_awake,
    a_use_of_one_that_sleeps_is_told,
    its_owner_starts_stops_and_changes_one_that_sleeps,
    the_idle_time_is_the_catalogs_or_its_owners,
    a_lost_lease_puts_nobody_to_sleep,
);

const NONE: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(3600);

/// One that runs, and the lease on it.
async fn running(db: &TestDb, account: AccountId) -> (InstanceId, LeaseToken) {
    let id = db.instance(account, "echo").await.id;
    let instances = db.store.instances();
    for (from, event) in [(S::PendingStart, E::StartBegun), (S::Starting, E::Healthy)] {
        instances
            .transition_unscoped(id, None, from, event, InstancePatch::default(), &[])
            .await
            .unwrap();
    }
    (id, lease(db, id).await)
}

async fn lease(db: &TestDb, id: InstanceId) -> LeaseToken {
    let leases = db.store.leases();
    let ttl = Duration::from_secs(600);
    let claims = leases.claim_due(LeaseKind::Instance, "me", ttl, 10).await;
    let claims = claims.unwrap();
    claims
        .iter()
        .find(|claim| claim.instance() == id)
        .unwrap()
        .token
}

async fn now(db: &TestDb, id: InstanceId) -> Instance {
    db.store
        .instances()
        .get_unscoped(id)
        .await
        .unwrap()
        .instance
}

async fn one_that_is_not_used_falls_asleep_and_of_many_who_wake_it_one_does(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (id, token) = running(&db, account).await;
    let instances = db.store.instances();
    let before = now(&db, id).await;
    assert!(before.last_used_at.is_some(), "its start counts");
    let told = [event(account, "instance.status_changed")];
    let early = instances.fall_asleep_unscoped(id, token, LONG, &told).await;
    assert_eq!(early.unwrap(), None, "it was started a moment ago");
    let asleep = instances.fall_asleep_unscoped(id, token, NONE, &told).await;
    let asleep = asleep.unwrap().unwrap();
    assert_eq!(
        (asleep.status, asleep.desired),
        (S::Asleep, DesiredInstance::Running)
    );
    assert_eq!(
        asleep.generation,
        before.generation + 1,
        "its machine hears of it"
    );
    assert!(asleep.asleep_since.is_some());
    let idleness = instances.idleness_unscoped(id).await.unwrap();
    assert!(idleness.asleep.is_some_and(|span| span < LONG));
    let again = instances.fall_asleep_unscoped(id, token, NONE, &told).await;
    assert_eq!(again.unwrap(), None);

    let replicas = [db.store.clone(), db.another_replica().await];
    let wakes = (0..20).map(|n| {
        let store = replicas[n % 2].clone();
        let told = told.clone();
        tokio::spawn(async move { store.instances().wake_unscoped(id, &told).await.unwrap() })
    });
    let woken: Vec<_> = join_all(wakes)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(woken.len(), 1);
    let after = now(&db, id).await;
    assert_eq!(
        (after.status, after.generation, after.asleep_since),
        (S::PendingStart, asleep.generation + 1, None)
    );
    assert_eq!(instances.idleness_unscoped(id).await.unwrap().asleep, None);
    assert_eq!(db.kinds().await.len(), 2, "one event for each change");
}

async fn who_is_used_at_the_last_moment_stays_awake(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (id, token) = running(&db, account).await;
    let instances = db.store.instances();
    let idle = Duration::from_millis(400);
    tokio::time::sleep(idle * 2).await;
    let unused = instances.idleness_unscoped(id).await.unwrap().unused;
    assert!(unused >= idle, "{unused:?}");
    let noted = instances.note_used_unscoped(&[id]).await.unwrap();
    assert!(noted.is_empty());
    let late = instances.fall_asleep_unscoped(id, token, idle, &[]).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(now(&db, id).await.status, S::Running);
}

async fn a_use_of_one_that_sleeps_is_told(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (id, token) = running(&db, account).await;
    let other = db.instance(account, "other").await.id;
    let instances = db.store.instances();
    instances
        .fall_asleep_unscoped(id, token, NONE, &[])
        .await
        .unwrap()
        .unwrap();
    let nobody: InstanceId = db.id();
    let asleep = instances.note_used_unscoped(&[other, id, nobody]).await;
    assert_eq!(asleep.unwrap(), [id]);
    assert!(now(&db, other).await.last_used_at.is_some());
    assert!(instances.note_used_unscoped(&[]).await.unwrap().is_empty());
}

async fn its_owner_starts_stops_and_changes_one_that_sleeps(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (id, token) = running(&db, account).await;
    let instances = db.store.instances();
    instances
        .fall_asleep_unscoped(id, token, NONE, &[])
        .await
        .unwrap()
        .unwrap();
    let intend = async |intent| {
        let changed = instances
            .set_intent(account, id, intent, no_limit, &[])
            .await;
        changed.unwrap()
    };
    let new = Reconfigure {
        version: Some("2.0.0".into()),
        ..Reconfigure::default()
    };
    let changed = intend(I::Reconfigure(new)).await.value;
    assert_eq!(
        (changed.status, changed.version.as_str()),
        (S::Asleep, "2.0.0")
    );
    let started = intend(I::Start).await;
    assert!(started.changed);
    assert_eq!(
        (started.value.status, started.value.asleep_since),
        (S::PendingStart, None)
    );

    for (from, event) in [(S::PendingStart, E::StartBegun), (S::Starting, E::Healthy)] {
        let patch = InstancePatch::default();
        instances
            .transition_unscoped(id, None, from, event, patch, &[])
            .await
            .unwrap();
    }
    instances
        .fall_asleep_unscoped(id, token, NONE, &[])
        .await
        .unwrap()
        .unwrap();
    let stopped = intend(I::Stop).await.value;
    assert_eq!((stopped.status, stopped.asleep_since), (S::Stopping, None));
    let woken = instances.wake_unscoped(id, &[]).await.unwrap();
    assert_eq!(woken, None, "its owner's stop stays one");
}

async fn the_idle_time_is_the_catalogs_or_its_owners(db: TestDb) {
    let account = db.account("a@b.c").await;
    let mut new = db.new_instance(account, "own").await;
    new.idle = IdleSetting::Never;
    let instances = db.store.instances();
    let own = instances.create(new, no_limit, &[]).await.unwrap();
    let inherits = db.instance(account, "inherits").await;
    assert_eq!((own.idle_limit(), inherits.idle_limit()), (None, None));
    let mut entry = definition("echo");
    entry.idle_seconds = Some(600);
    db.store
        .catalog()
        .upsert(db.id(), &entry, &[])
        .await
        .unwrap();
    assert_eq!(now(&db, own.id).await.idle_limit(), None);
    assert_eq!(now(&db, inherits.id).await.idle.seconds(), Some(600));
    let idle = IdleSetting::After { seconds: 60 };
    let change = Reconfigure {
        idle: Some(idle),
        ..Reconfigure::default()
    };
    let changed = instances
        .set_intent(account, own.id, I::Reconfigure(change), no_limit, &[])
        .await;
    let changed = changed.unwrap().value;
    assert_eq!(
        (changed.idle.setting, changed.idle.seconds()),
        (idle, Some(60))
    );
    assert_eq!(changed.status, own.status, "it runs on");
    assert!(changed.last_used_at.is_some(), "the time begins now");
}

async fn a_lost_lease_puts_nobody_to_sleep(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (id, token) = running(&db, account).await;
    db.store
        .leases()
        .release_all(LeaseKind::Instance)
        .await
        .unwrap();
    let instances = db.store.instances();
    let late = instances.fall_asleep_unscoped(id, token, NONE, &[]).await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(now(&db, id).await.status, S::Running);
}
