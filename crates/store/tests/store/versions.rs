//! Changes of an instance's version (TOOL-4).

use agentopia_domain::admission::DoesNotFit;
use agentopia_domain::instance::{DesiredInstance, InstanceStatus as S};
use agentopia_domain::versions::{ChangeKind, How, Release, Slot, Stage, VersionChange, Versions};
use agentopia_store::{InstanceIntent as I, InstancePatch, StoreError, VersionStep};

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{event, no_limit};

on_both_engines!(
    a_change_of_version_is_one_at_a_time_and_moves_by_steps,
    a_step_that_was_decided_on_old_knowledge_is_refused,
    what_does_not_run_is_replaced_and_the_version_before_is_kept,
    two_copies_need_room_for_two,
);

fn release(version: &str) -> Release {
    Release {
        version: version.to_owned(),
        digest: None,
    }
}

fn change(how: How) -> VersionChange {
    VersionChange {
        kind: ChangeKind::Upgrade,
        to: release("2.0.0"),
        how,
        stage: Stage::Starting,
        accept_missing: false,
        deadline: "2030-01-01T00:00:00Z".parse().unwrap(),
    }
}

fn step(versions: Versions, told: bool) -> VersionStep {
    VersionStep {
        versions,
        version: None,
        told,
        patch: InstancePatch::default(),
    }
}

async fn a_change_of_version_is_one_at_a_time_and_moves_by_steps(db: TestDb) {
    let account = db.account("a@b.c").await;
    let before = db.instance(account, "echo").await;
    assert_eq!(before.versions, Versions::default());
    let instances = db.store.instances();
    let told = [event(account, "instance.upgrade_requested")];
    let begun = instances
        .begin_change(account, before.id, change(How::Beside), no_limit, &told)
        .await
        .unwrap();
    assert_eq!(begun.versions.change, Some(change(How::Beside)));
    assert_eq!((begun.generation, begun.versions.counted), (2, 1));
    assert_eq!(begun.status, before.status, "it serves as before");
    let again = instances
        .begin_change(account, before.id, change(How::Beside), no_limit, &told)
        .await;
    assert!(matches!(again, Err(StoreError::Stale { .. })), "{again:?}");

    let moved = Versions {
        serving: Slot::Second,
        kept: Some(release("1.0.0")),
        change: None,
        ..begun.versions.clone()
    };
    let stepped = VersionStep {
        version: Some("2.0.0".to_owned()),
        ..step(moved, true)
    };
    let after = instances
        .step_version_unscoped(
            &begun,
            None,
            stepped,
            &[event(account, "instance.upgraded")],
        )
        .await
        .unwrap();
    assert_eq!(after.version, "2.0.0");
    assert_eq!((after.generation, after.versions.counted), (3, 2));
    assert_eq!(after.versions.serving, Slot::Second);
    assert_eq!(instances.get(account, before.id).await.unwrap(), after);
    let kinds = db.kinds().await;
    assert!(kinds.ends_with(&[
        "instance.upgrade_requested".into(),
        "instance.upgraded".into()
    ]));

    // Nobody else's.
    let other = db.account("c@d.e").await;
    let foreign = instances
        .begin_change(other, before.id, change(How::Beside), no_limit, &[])
        .await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })));
}

async fn a_step_that_was_decided_on_old_knowledge_is_refused(db: TestDb) {
    let account = db.account("a@b.c").await;
    let seen = db.instance(account, "echo").await;
    let instances = db.store.instances();
    let pinned = Versions {
        digest: Some("sha256:1".to_owned()),
        ..Versions::default()
    };
    // What the machine need not hear of leaves the generation.
    let noted = instances
        .step_version_unscoped(&seen, None, step(pinned.clone(), false), &[])
        .await
        .unwrap();
    assert_eq!((noted.generation, noted.versions), (1, pinned.clone()));
    instances
        .set_intent(account, seen.id, I::Stop, no_limit, &[])
        .await
        .unwrap();
    let late = instances
        .step_version_unscoped(&seen, None, step(pinned, true), &[])
        .await;
    assert!(matches!(late, Err(StoreError::Stale { .. })), "{late:?}");
    let stopped = instances
        .begin_change(account, seen.id, change(How::Beside), no_limit, &[])
        .await;
    assert!(matches!(stopped, Err(StoreError::Stale { .. })));
}

async fn what_does_not_run_is_replaced_and_the_version_before_is_kept(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let instances = db.store.instances();
    instances
        .set_intent(account, id, I::Stop, no_limit, &[])
        .await
        .unwrap();
    let stopped = instances.get(account, id).await.unwrap();
    let replaced = instances
        .replace_version(account, &stopped, release("2.0.0"), &[])
        .await
        .unwrap();
    assert_eq!(replaced.version, "2.0.0");
    assert_eq!(replaced.versions.kept, Some(release("1.0.0")));
    assert_eq!(replaced.versions.counted, 0, "it is started anew");
    assert_eq!(replaced.desired, DesiredInstance::Stopped);
    assert_eq!(replaced.status, stopped.status);
    let late = instances
        .replace_version(account, &stopped, release("3.0.0"), &[])
        .await;
    assert!(matches!(late, Err(StoreError::Stale { .. })), "{late:?}");

    instances
        .set_intent(account, id, I::Start, no_limit, &[])
        .await
        .unwrap();
    let running = instances.get(account, id).await.unwrap();
    let restarted = instances
        .replace_version(account, &running, release("3.0.0"), &[])
        .await
        .unwrap();
    assert_eq!(restarted.status, S::PendingStart);
    assert_eq!(restarted.generation, running.generation + 1);
}

async fn two_copies_need_room_for_two(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let instances = db.store.instances();
    let mut copies = 0;
    let count = |_: &_, present: &[_], _| {
        copies = present.len();
        Ok::<_, DoesNotFit>(())
    };
    instances
        .begin_change(account, id, change(How::Beside), count, &[])
        .await
        .unwrap();
    assert_eq!(
        copies, 1,
        "the one that serves is counted besides the new one"
    );
}
