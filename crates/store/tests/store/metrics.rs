//! Measurements.

use std::time::Duration;

use agentopia_domain::metrics::{Sample, Usage};
use agentopia_store::StoreError;
use chrono::TimeDelta;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::assert_refused;

on_both_engines!(a_sample_that_is_sent_twice_is_stored_once, what_is_old_goes);

fn usage(n: u32) -> Usage {
    Usage {
        cpu_millis: n,
        memory_bytes: 1 << 40,
        disk_bytes: u64::from(n),
        network_rx_bytes: 2,
        network_tx_bytes: 3,
    }
}

async fn a_sample_that_is_sent_twice_is_stored_once(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let instance = db.instance(mine, "echo").await;
    let environment = instance.environment_id;
    let sample = |sequence: u64, age_ms| Sample {
        sequence,
        age_ms,
        host: usage(1000 + u32::try_from(sequence).unwrap()),
        instances: vec![(instance.id, usage(u32::try_from(sequence).unwrap()))],
    };
    let metrics = db.store.metrics();
    let samples = [sample(1, 20_000), sample(2, 10_000)];
    assert_eq!(
        metrics
            .insert_unscoped(environment, "boot", &samples)
            .await
            .unwrap(),
        4
    );
    let more = [sample(2, 15_000), sample(3, 0)];
    assert_eq!(
        metrics
            .insert_unscoped(environment, "boot", &more)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        metrics
            .insert_unscoped(environment, "boot", &more)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        metrics
            .insert_unscoped(environment, "next boot", &[sample(1, 5_000)])
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        metrics
            .insert_unscoped(environment, "boot", &[])
            .await
            .unwrap(),
        0
    );

    let now = db.ambient.now();
    let (from, until) = (now - TimeDelta::hours(1), now + TimeDelta::seconds(1));
    let host = metrics
        .list(mine, environment, None, from, until, 100)
        .await
        .unwrap();
    let times: Vec<_> = host
        .iter()
        .map(|one| (now - one.at).num_seconds())
        .collect();
    assert_eq!(times, [20, 10, 5, 0]);
    assert_eq!(host[3].usage, usage(1003));
    let one = metrics
        .list(mine, environment, Some(instance.id), from, now, 2)
        .await
        .unwrap();
    assert_eq!(
        one.iter()
            .map(|one| one.usage.cpu_millis)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(one[0].instance_id, Some(instance.id));
    assert_refused!(
        metrics
            .list(other, environment, None, from, until, 100)
            .await,
        StoreError::NotFound { .. },
    );
    assert_refused!(
        metrics.insert_unscoped(db.id(), "boot", &samples).await,
        StoreError::NotFound {
            what: "environment"
        },
    );
}

async fn what_is_old_goes(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await.id;
    let metrics = db.store.metrics();
    let samples: Vec<Sample> = (0..1200)
        .map(|n| Sample {
            sequence: n,
            age_ms: n * 1000,
            host: usage(1),
            instances: vec![],
        })
        .collect();
    assert_eq!(
        metrics
            .insert_unscoped(environment, "b", &samples)
            .await
            .unwrap(),
        1200
    );
    db.clock.advance(Duration::from_secs(1));
    let before = db.ambient.now() - TimeDelta::seconds(200);
    assert_eq!(metrics.prune(before).await.unwrap(), 1000);
    assert_eq!(metrics.prune(before).await.unwrap(), 0);
}
