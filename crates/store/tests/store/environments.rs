//! The one machine of an account.

use agentopia_domain::environment::{
    DesiredEnvironment, EnvironmentEvent as E, EnvironmentStatus as S, Scaling, ScalingPhase,
};
use agentopia_domain::page::PageRequest;
use agentopia_domain::resources::Capacity;
use agentopia_domain::{AccountId, EnvironmentId};
use agentopia_store::{EnvironmentPatch, MachineHeartbeat, Placement, StoreError};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event};

on_both_engines!(
    an_account_has_one_environment_however_many_ask,
    intent_moves_generation_and_status,
    of_two_who_saw_the_same_status_one_moves_it,
    a_status_has_a_beginning,
    facts_are_written_and_forgotten,
    a_heartbeat_says_what_the_machine_has,
    of_many_who_want_another_size_one_is_heard,
    a_change_of_size_ends_with_its_status,
    a_place_is_chosen_while_there_is_no_machine,
    other_accounts_see_nothing,
);

async fn an_account_has_one_environment_however_many_ask(db: TestDb) {
    let account = db.account("a@b.c").await;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..40).map(|n| {
        let (store, new) = (replicas[n % 2].clone(), db.new_environment());
        let told = event(account, "environment.enabled");
        tokio::spawn(async move {
            let environments = store.environments();
            environments
                .get_or_create(account, new, &[told])
                .await
                .unwrap()
        })
    });
    let all = join_all(calls).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|one| one.changed).count(), 1);
    assert!(all.iter().all(|one| one.value == all[0].value));
    assert_eq!(db.kinds().await, ["environment.enabled"]);
    assert_refused!(
        db.store
            .environments()
            .get_or_create(db.id(), db.new_environment(), &[])
            .await,
        StoreError::NotFound { what: "account" },
    );
}

async fn intent_moves_generation_and_status(db: TestDb) {
    use DesiredEnvironment::{Disabled, Enabled};
    let account = db.account("a@b.c").await;
    let environments = db.store.environments();
    assert_refused!(
        environments.set_desired(account, Enabled, &[]).await,
        StoreError::NotFound { .. },
    );
    let made = db.environment(account).await;
    assert_eq!(
        (made.desired, made.status, made.generation),
        (Enabled, S::PendingCreation, 1)
    );
    let told = [event(account, "environment.changed")];
    assert!(
        !environments
            .set_desired(account, Enabled, &told)
            .await
            .unwrap()
            .changed
    );
    assert!(db.kinds().await.is_empty());

    let off = environments
        .set_desired(account, Disabled, &told)
        .await
        .unwrap()
        .value;
    assert_eq!(
        (off.desired, off.status, off.generation),
        (Disabled, S::PendingDeletion, 2)
    );
    // Wanted again while it is taken down: remembered, and the taking down goes on.
    let on = environments
        .set_desired(account, Enabled, &told)
        .await
        .unwrap()
        .value;
    assert_eq!(
        (on.desired, on.status, on.generation),
        (Enabled, S::PendingDeletion, 3)
    );
    assert_eq!(db.kinds().await.len(), 2);

    let patch = EnvironmentPatch::default;
    let step = async |from, event| {
        environments
            .transition_unscoped(made.id, None, from, event, patch(), &[])
            .await
            .unwrap()
    };
    step(S::PendingDeletion, E::DeleteStarted).await;
    step(S::Deleting, E::DeleteFinished).await;
    step(S::Deleted, E::EnableRequested).await;
    let failed = EnvironmentPatch {
        error_message: Some(Some("no quota".into())),
        ..patch()
    };
    environments
        .transition_unscoped(
            made.id,
            None,
            S::PendingCreation,
            E::CreateFailed,
            failed,
            &[],
        )
        .await
        .unwrap();
    // Enabling what could not be made tries again.
    let retried = environments
        .set_desired(account, Enabled, &[])
        .await
        .unwrap();
    assert!(retried.changed);
    assert_eq!(retried.value.status, S::PendingCreation);
    assert_eq!(retried.value.error_message, None);
}

async fn of_two_who_saw_the_same_status_one_moves_it(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.environment(account).await.id;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..20).map(|n| {
        let store = replicas[n % 2].clone();
        let told = event(account, "environment.status_changed");
        tokio::spawn(async move {
            let patch = EnvironmentPatch::default();
            let environments = store.environments();
            let told = [told];
            environments
                .transition_unscoped(id, None, S::PendingCreation, E::CreateStarted, patch, &told)
                .await
        })
    });
    let mut moved = 0;
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(environment) => {
                assert_eq!(environment.status, S::Creating);
                moved += 1;
            }
            Err(StoreError::Stale { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(moved, 1);
    assert_eq!(db.kinds().await.len(), 1);
    let patch = EnvironmentPatch::default;
    let environments = db.store.environments();
    assert_refused!(
        environments
            .transition_unscoped(id, None, S::Creating, E::DeleteFinished, patch(), &[])
            .await,
        StoreError::EnvironmentTransition(_),
    );
    assert_refused!(
        environments
            .transition_unscoped(db.id(), None, S::Creating, E::Ready, patch(), &[])
            .await,
        StoreError::NotFound { .. },
    );
}

async fn a_status_has_a_beginning(db: TestDb) {
    let account = db.account("a@b.c").await;
    let made = db.environment(account).await;
    assert_eq!(made.status_since, db.ambient.now());
    db.clock.advance(std::time::Duration::from_secs(5));
    let environments = db.store.environments();
    let patch = EnvironmentPatch::default();
    let touched = environments.update_unscoped(made.id, None, patch.clone(), &[]);
    assert_eq!(touched.await.unwrap().status_since, made.status_since);
    let (from, event) = (S::PendingCreation, E::CreateStarted);
    let moved = environments.transition_unscoped(made.id, None, from, event, patch, &[]);
    assert_eq!(moved.await.unwrap().status_since, db.ambient.now());
}

async fn facts_are_written_and_forgotten(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.environment(account).await.id;
    let environments = db.store.environments();
    let patch = EnvironmentPatch {
        machine_id: Some(Some("4711".into())),
        ip_address: Some(Some("2001:db8::1".parse().unwrap())),
        dtma_port: Some(Some(30_000)),
        region: Some(Some("fra1".into())),
        size: Some(Some("s-1vcpu-1gb".into())),
        provider_created_at: Some(Some(db.ambient.now())),
        error_message: Some(Some("slow".into())),
        monthly_price_cents: Some(Some(1200)),
        machine_disk_bytes: Some(Some(50 << 30)),
        ..EnvironmentPatch::default()
    };
    let written = environments
        .update_unscoped(id, None, patch, &[])
        .await
        .unwrap();
    assert_eq!(written.ip_address, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(written.dtma_port, Some(30_000));
    assert_eq!(
        (written.monthly_price_cents, written.machine_disk_bytes),
        (Some(1200), Some(50 << 30))
    );
    assert_eq!(written.provider_created_at, Some(db.ambient.now()));
    assert_eq!(environments.get_unscoped(id).await.unwrap(), written);
    let forgotten = environments
        .update_unscoped(id, None, EnvironmentPatch::without_machine(), &[])
        .await
        .unwrap();
    assert_eq!(
        (
            forgotten.machine_id,
            forgotten.ip_address,
            forgotten.dtma_port
        ),
        (None, None, None)
    );
    assert_eq!(forgotten.monthly_price_cents, None, "nothing is billed");
    assert_eq!(forgotten.region.as_deref(), Some("fra1"));
    assert_eq!(forgotten.error_message.as_deref(), Some("slow"));
}

async fn a_heartbeat_says_what_the_machine_has(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.environment(account).await.id;
    let environments = db.store.environments();
    let heartbeat = MachineHeartbeat {
        dtma_version: "0.1.0".into(),
        capacity: Capacity {
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            disk_bytes: 25 << 30,
        },
        runtime: "docker".into(),
        ip_address: None,
        dtma_port: Some(30_001),
    };
    let heard = environments
        .record_heartbeat_unscoped(id, &heartbeat)
        .await
        .unwrap();
    assert_eq!(heard.last_heartbeat_at, Some(db.ambient.now()));
    assert_eq!(heard.capacity, Some(heartbeat.capacity));
    assert_eq!(
        (heard.runtime.as_deref(), heard.dtma_port),
        (Some("docker"), Some(30_001))
    );
    assert_eq!(
        heard.status,
        S::PendingCreation,
        "a heartbeat moves no status"
    );
    assert_refused!(
        environments
            .record_heartbeat_unscoped(db.id(), &heartbeat)
            .await,
        StoreError::NotFound { .. },
    );
}

/// An account whose environment is active with a size.
pub(crate) async fn active(db: &TestDb) -> (AccountId, EnvironmentId) {
    let account = db.account("a@b.c").await;
    let id = db.environment(account).await.id;
    let environments = db.store.environments();
    for (from, event) in [
        (S::PendingCreation, E::CreateStarted),
        (S::Creating, E::Ready),
    ] {
        let patch = EnvironmentPatch {
            size: Some(Some("small".into())),
            ..EnvironmentPatch::default()
        };
        let moved = environments.transition_unscoped(id, None, from, event, patch, &[]);
        moved.await.unwrap();
    }
    (account, id)
}

async fn of_many_who_want_another_size_one_is_heard(db: TestDb) {
    let (account, id) = active(&db).await;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..20).map(|n| {
        let store = replicas[n % 2].clone();
        let told = event(account, "environment.scale_requested");
        tokio::spawn(async move {
            let environments = store.environments();
            let size = format!("size-{n}");
            environments
                .begin_scaling(account, &size, None, &[told])
                .await
        })
    });
    let mut heard = Vec::new();
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(environment) => heard.push(environment),
            Err(StoreError::EnvironmentTransition(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let [begun] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(begun.status, S::Scaling);
    let scaling = begun.scaling.clone().unwrap();
    assert_eq!(scaling.from.as_deref(), Some("small"));
    assert_eq!(scaling.phase, ScalingPhase::ShuttingDown);
    assert_eq!(scaling.phase_since, db.ambient.now());
    assert_eq!(begun.size.as_deref(), Some("small"), "it has it still");
    let environments = db.store.environments();
    assert_eq!(&environments.get_unscoped(id).await.unwrap(), begun);
    assert_eq!(db.kinds().await, ["environment.scale_requested"]);
    assert_refused!(
        environments
            .begin_scaling(db.id(), "size-0", None, &[])
            .await,
        StoreError::NotFound { .. },
    );
}

async fn a_change_of_size_ends_with_its_status(db: TestDb) {
    let (account, id) = active(&db).await;
    let environments = db.store.environments();
    let begun = environments
        .begin_scaling(account, "large", None, &[])
        .await;
    let scaling = begun.unwrap().scaling.unwrap();
    let further = Scaling {
        operation: Some("4711".into()),
        failure: Some("too large".into()),
        ..scaling.in_phase(ScalingPhase::Resizing, db.ambient.now())
    };
    let patch = EnvironmentPatch {
        scaling: Some(Some(further.clone())),
        ..EnvironmentPatch::default()
    };
    let written = environments.update_unscoped(id, None, patch, &[]).await;
    assert_eq!(written.unwrap().scaling, Some(further));
    let patch = EnvironmentPatch::default();
    let done = environments.transition_unscoped(id, None, S::Scaling, E::ScaleFinished, patch, &[]);
    assert_eq!(done.await.unwrap().scaling, None);

    environments
        .begin_scaling(account, "large", None, &[])
        .await
        .unwrap();
    let disabled = DesiredEnvironment::Disabled;
    let off = environments.set_desired(account, disabled, &[]).await;
    assert_eq!(off.unwrap().value.scaling, None);
}

async fn a_place_is_chosen_while_there_is_no_machine(db: TestDb) {
    let (account, id) = active(&db).await;
    let environments = db.store.environments();
    let placement = Placement {
        region: Some("fra1".into()),
        ..Placement::default()
    };
    let placed = |placement| environments.place(account, placement);
    assert!(!placed(placement.clone()).await.unwrap());
    let (patch, lost) = (EnvironmentPatch::default(), E::MachineGivenUp);
    let gone = environments.transition_unscoped(id, None, S::Active, lost, patch, &[]);
    assert_eq!(gone.await.unwrap().size.as_deref(), Some("small"));
    assert!(placed(placement).await.unwrap());
    let now = environments.get_unscoped(id).await.unwrap();
    assert_eq!((now.region.as_deref(), now.size), (Some("fra1"), None));
    let nobody = environments.place(db.id(), Placement::default()).await;
    assert!(!nobody.unwrap());
}

async fn other_accounts_see_nothing(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let environment = db.environment(mine).await;
    let environments = db.store.environments();
    assert_eq!(
        environments.get(mine, environment.id).await.unwrap(),
        environment
    );
    assert_refused!(
        environments.get(other, environment.id).await,
        StoreError::NotFound { .. }
    );
    assert_eq!(environments.find(other).await.unwrap(), None);
    let all = environments
        .list_unscoped(PageRequest::default())
        .await
        .unwrap();
    assert_eq!(all.items, [environment]);
}
