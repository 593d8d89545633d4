//! The ledger over restarts, damage and disorder.

use agentopia_domain::instance::DesiredInstance;

use super::*;
use crate::testing::spec;

fn open(directory: &Path) -> Ledger {
    Ledger::open(directory, Ambient::system()).unwrap()
}

#[tokio::test]
async fn a_spec_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let spec = spec();
    open(directory.path()).put(spec.clone()).await.unwrap();
    let again = open(directory.path());
    assert_eq!(again.spec(spec.instance_id), Some(spec));
}

#[tokio::test]
async fn an_older_generation_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let mut newer = spec();
    newer.generation = 5;
    ledger.put(newer.clone()).await.unwrap();
    let mut older = newer.clone();
    older.generation = 4;
    older.desired = DesiredInstance::Stopped;
    let refused = ledger.put(older).await.unwrap_err();
    assert!(
        matches!(
            refused,
            LedgerError::Stale {
                offered: 4,
                known: 5
            }
        ),
        "{refused}"
    );
    assert_eq!(open(directory.path()).spec(newer.instance_id), Some(newer));
}

#[tokio::test]
async fn a_tombstone_refuses_the_past_and_lets_the_future_in() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let mut spec = spec();
    spec.generation = 7;
    ledger.put(spec.clone()).await.unwrap();
    assert!(ledger.bury(spec.instance_id, 7, true).await.unwrap());
    let ledger = open(directory.path());
    assert_eq!(ledger.spec(spec.instance_id), None);
    let mut late = spec.clone();
    late.generation = 6;
    assert!(ledger.put(late).await.is_err());
    spec.generation = 8;
    ledger.put(spec.clone()).await.unwrap();
    assert!(
        !ledger.bury(spec.instance_id, 7, true).await.unwrap(),
        "a removal that ends late must not bury a newer spec"
    );
    assert_eq!(ledger.spec(spec.instance_id), Some(spec));
}

#[tokio::test]
async fn a_damaged_entry_is_set_aside_and_its_instance_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (spec(), spec());
    let ledger = open(directory.path());
    ledger.put(good.clone()).await.unwrap();
    ledger.put(bad.clone()).await.unwrap();
    let path = ledger.path(bad.instance_id);
    let content = std::fs::read(&path).unwrap();
    std::fs::write(&path, &content[..content.len() / 2]).unwrap();

    // Twice: a second start must not forget what the first one set aside.
    for _ in 0..2 {
        let ledger = open(directory.path());
        assert_eq!(ledger.specs(), vec![good.clone()]);
        assert!(ledger.is_unreadable(bad.instance_id));
    }
    let ledger = open(directory.path());
    ledger.put(bad.clone()).await.unwrap();
    assert!(!ledger.is_unreadable(bad.instance_id));
    assert!(!open(directory.path()).is_unreadable(bad.instance_id));
}

#[tokio::test]
async fn every_truncation_is_seen() {
    let id = spec().instance_id;
    let entry = Entry::Wanted(Box::new(InstanceSpec {
        instance_id: id,
        ..spec()
    }));
    let whole = Record::render(id, &entry);
    for end in 0..whole.len() {
        assert!(Record::parse(&whole[..end], id).is_err(), "{end}");
    }
    assert_eq!(Record::parse(&whole, id).unwrap(), entry);
}

#[tokio::test]
async fn concurrent_puts_end_with_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = std::sync::Arc::new(open(directory.path()));
    let base = spec();
    let mut puts = tokio::task::JoinSet::new();
    for generation in 1..=20 {
        let mut spec = base.clone();
        spec.generation = generation;
        let ledger = std::sync::Arc::clone(&ledger);
        puts.spawn(async move { ledger.put(spec).await.is_ok() });
    }
    puts.join_all().await;
    assert_eq!(ledger.spec(base.instance_id).unwrap().generation, 20);
    let again = open(directory.path());
    assert_eq!(again.spec(base.instance_id).unwrap().generation, 20);
}

#[tokio::test]
async fn a_full_disk_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("ledger");
    let ledger = open(&inner);
    let spec = spec();
    ledger.put(spec.clone()).await.unwrap();
    // The directory goes away: every write fails from here on, as on a full disk.
    std::fs::remove_dir_all(&inner).unwrap();
    let mut newer = spec.clone();
    newer.generation += 1;
    let refused = ledger.put(newer).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Io { .. }), "{refused}");
    assert_eq!(ledger.spec(spec.instance_id), Some(spec));
}
