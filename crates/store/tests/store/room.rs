//! Tools and sizes: what is admitted fits on the machine that there will be (ENV-10, TOOL-8).

use agentopia_domain::AccountId;
use agentopia_domain::admission::{DoesNotFit, admit};
use agentopia_domain::environment::{Environment, EnvironmentEvent as E, EnvironmentStatus as S};
use agentopia_domain::resources::{Capacity, Resources};
use agentopia_store::{EnvironmentPatch, NewInstance, StoreError};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::environments::active;
use crate::fixtures::assert_refused;

const MIB: u64 = 1 << 20;

on_both_engines!(
    a_smaller_size_and_new_tools_at_the_same_time_never_overfill_the_machine,
    tools_are_admitted_to_the_smaller_of_both_sizes,
);

/// With so many MiB of memory.
fn capacity(memory: u64) -> Capacity {
    Capacity {
        cpu_millis: 4000,
        memory_bytes: memory * MIB,
        disk_bytes: 1 << 40,
    }
}

/// One that needs 512 MiB.
async fn tool(db: &TestDb, account: AccountId, name: &str) -> NewInstance {
    let mut new = db.new_instance(account, name).await;
    new.resources.memory_bytes = 512 * MIB;
    new
}

/// A machine of 4 GiB is to have 2, and tools of 512 MiB each come at the same time.
async fn a_smaller_size_and_new_tools_at_the_same_time_never_overfill_the_machine(db: TestDb) {
    let (account, id) = active(&db).await;
    let patch = EnvironmentPatch {
        capacity: Some(Some(capacity(4096))),
        ..EnvironmentPatch::default()
    };
    let environments = db.store.environments();
    environments
        .update_unscoped(id, None, patch, &[])
        .await
        .unwrap();
    let replicas = [db.store.clone(), db.another_replica().await];
    let mut tools = Vec::new();
    for n in 0..6 {
        tools.push(tool(&db, account, &format!("tool-{n}")).await);
    }
    let mut calls = Vec::new();
    for (n, new) in tools.into_iter().enumerate() {
        let store = replicas[n % 2].clone();
        calls.push(tokio::spawn(async move {
            let made = store.instances().create(new, fits, &[]).await;
            made.map(|_| ())
        }));
        if n == 2 {
            let store = replicas[1].clone();
            calls.push(tokio::spawn(async move {
                let environments = store.environments();
                let smaller =
                    environments.begin_scaling(account, "small", Some(capacity(2048)), &[]);
                smaller.await.map(|_| ())
            }));
        }
    }
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(()) | Err(StoreError::DoesNotFit(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let instances = db.store.instances().on_environment_unscoped(id).await;
    let count = instances.unwrap().len();
    let now = environments.get_unscoped(id).await.unwrap();
    match now.status {
        // 2 GiB without what is kept for the system.
        S::Scaling => assert!(count <= 3, "{count} tools would not fit"),
        S::Active => assert!((4..=6).contains(&count), "{count}"),
        other => panic!("{other:?}"),
    }
}

/// One after the other the same holds, in either order, and the bigger size is no promise before
/// the machine has it.
async fn tools_are_admitted_to_the_smaller_of_both_sizes(db: TestDb) {
    let (account, id) = active(&db).await;
    let environments = db.store.environments();
    let patch = EnvironmentPatch {
        capacity: Some(Some(capacity(2048))),
        ..EnvironmentPatch::default()
    };
    environments
        .update_unscoped(id, None, patch, &[])
        .await
        .unwrap();
    let deploy = async |name: &str| {
        let new = tool(&db, account, name).await;
        db.store.instances().create(new, fits, &[]).await
    };
    deploy("one").await.unwrap();
    deploy("two").await.unwrap();
    assert_refused!(
        environments
            .begin_scaling(account, "tiny", Some(capacity(1024)), &[])
            .await,
        StoreError::DoesNotFit(_),
    );
    // A larger one is wanted; it may still end with the old one.
    environments
        .begin_scaling(account, "large", Some(capacity(8192)), &[])
        .await
        .unwrap();
    deploy("three").await.unwrap();
    assert_refused!(deploy("four").await, StoreError::DoesNotFit(_));
    let patch = EnvironmentPatch {
        capacity: Some(Some(capacity(8192))),
        ..EnvironmentPatch::default()
    };
    environments
        .transition_unscoped(id, None, S::Scaling, E::ScaleFinished, patch, &[])
        .await
        .unwrap();
    deploy("four").await.unwrap();
    environments
        .begin_scaling(account, "less", Some(capacity(2560)), &[])
        .await
        .unwrap();
    assert_refused!(deploy("five").await, StoreError::DoesNotFit(_));
}

/// As the API admits tools.
fn fits(
    environment: &Environment,
    present: &[Resources],
    new: Resources,
) -> Result<(), DoesNotFit> {
    match environment.room() {
        Some(room) => admit(room, present.iter().copied(), new),
        None => Ok(()),
    }
}
