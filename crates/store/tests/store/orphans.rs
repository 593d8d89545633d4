//! What the search for orphans found, and who searches.

use std::time::Duration;

use agentopia_domain::OrphanId;
use agentopia_domain::orphan::{Orphan, OrphanReason, ProviderThing};
use agentopia_store::{LeaseKind, StoreError};

use crate::common::{TestDb, on_both_engines};

on_both_engines!(
    a_search_replaces_what_the_one_before_found,
    a_removal_that_was_asked_for_is_remembered_and_wakes_the_search,
    one_replica_searches_at_a_time,
);

fn orphan(db: &TestDb, provider_id: &str) -> Orphan {
    Orphan {
        id: db.id::<OrphanId>(),
        kind: ProviderThing::Machine,
        provider_id: provider_id.to_owned(),
        name: "a".to_owned(),
        environment_id: Some(db.id()),
        reason: OrphanReason::UnknownEnvironment,
        monthly_price_cents: Some(600),
        provider_created_at: Some(db.ambient.now()),
        first_seen_at: db.ambient.now(),
        last_seen_at: db.ambient.now(),
        removal_requested_at: None,
    }
}

async fn a_search_replaces_what_the_one_before_found(db: TestDb) {
    let orphans = db.store.orphans();
    let (one, other) = (orphan(&db, "1"), orphan(&db, "2"));
    let mut both = [one.clone(), other.clone()];
    // Seen at the same moment: then their ids decide.
    both.sort_by_key(|orphan| orphan.id.as_uuid());
    orphans.replace(&both, &[]).await.unwrap();
    assert_eq!(orphans.list().await.unwrap(), both);

    db.clock.advance(Duration::from_secs(600));
    let again = Orphan {
        last_seen_at: db.ambient.now(),
        ..other.clone()
    };
    // The same thing for another reason is another orphan.
    let anew = Orphan {
        reason: OrphanReason::Duplicate,
        ..orphan(&db, "1")
    };
    let found = [again.clone(), anew.clone()];
    orphans.replace(&found, &[]).await.unwrap();
    assert_eq!(orphans.list().await.unwrap(), found);

    orphans.forget(again.id, &[]).await.unwrap();
    assert_eq!(orphans.list().await.unwrap(), [anew]);
    orphans.replace(&[], &[]).await.unwrap();
    assert!(orphans.list().await.unwrap().is_empty());
}

async fn a_removal_that_was_asked_for_is_remembered_and_wakes_the_search(db: TestDb) {
    let orphans = db.store.orphans();
    orphans.begin_searching().await.unwrap();
    let (leases, ttl) = (db.store.leases(), Duration::from_secs(60));
    let claimed = leases.claim_due(LeaseKind::Job, "r", ttl, 10).await;
    let claim = claimed.unwrap()[0];
    let later = Some(Duration::from_secs(600));
    leases
        .release(LeaseKind::Job, claim.id, claim.token, later)
        .await
        .unwrap();
    let one = orphan(&db, "1");
    orphans
        .replace(std::slice::from_ref(&one), &[])
        .await
        .unwrap();
    let unknown = orphans.request_removal(db.id(), &[]).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));

    let asked = orphans.request_removal(one.id, &[]).await.unwrap();
    assert!(asked.changed);
    let at = asked.value.removal_requested_at;
    assert_eq!(at, Some(db.ambient.now()));
    let due = leases
        .claim_due(LeaseKind::Job, "r", ttl, 10)
        .await
        .unwrap();
    assert_eq!(due.len(), 1, "the search is due at once");

    db.clock.advance(Duration::from_secs(5));
    let again = orphans.request_removal(one.id, &[]).await.unwrap();
    assert!(!again.changed);
    // A search that had read the orphans before does not forget it.
    orphans
        .replace(std::slice::from_ref(&one), &[])
        .await
        .unwrap();
    assert_eq!(orphans.get(one.id).await.unwrap().removal_requested_at, at);
    orphans.withdraw_removal(one.id, &[]).await.unwrap();
    assert_eq!(orphans.get(one.id).await.unwrap(), one);
}

async fn one_replica_searches_at_a_time(db: TestDb) {
    let replicas = [db.store.clone(), db.another_replica().await];
    for replica in &replicas {
        replica.orphans().begin_searching().await.unwrap();
    }
    let ttl = Duration::from_secs(60);
    let mut claimed = Vec::new();
    for replica in &replicas {
        let leases = replica.leases();
        claimed.extend(
            leases
                .claim_due(LeaseKind::Job, "r", ttl, 10)
                .await
                .unwrap(),
        );
    }
    let [claim] = claimed[..] else {
        panic!("{claimed:?}");
    };
    let leases = replicas[0].leases();
    leases
        .release(LeaseKind::Job, claim.id, claim.token, Some(Duration::ZERO))
        .await
        .unwrap();
    let next = replicas[1].leases();
    let next = next.claim_due(LeaseKind::Job, "r", ttl, 10).await.unwrap();
    assert_eq!(next.len(), 1);
}
