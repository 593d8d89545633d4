//! Running copies of catalog entries.

use std::collections::BTreeMap;

use agentopia_domain::InstanceId;
use agentopia_domain::admission::admit;
use agentopia_domain::environment::{Environment, EnvironmentEvent as M, EnvironmentStatus as N};
use agentopia_domain::instance::{
    DesiredInstance, InstanceEvent as E, InstanceStatus as S, RuntimeDetails,
};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::page::PageRequest;
use agentopia_domain::resources::{Capacity, Resources};
use agentopia_store::{
    EnvironmentPatch, InstanceFilter, InstanceIntent as I, InstancePatch, Reconfigure, StoreError,
};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event, name, no_limit};

on_both_engines!(
    of_many_with_one_name_one_is_made,
    who_writes_to_tools_at_once_never_waits_in_a_circle,
    two_that_fit_only_alone_are_not_both_admitted,
    what_is_stopped_needs_room_to_start,
    intent_moves_generation_and_status,
    a_removed_one_frees_its_name_links_and_secrets,
    settings_change_and_wrong_ones_change_nothing,
    a_machine_reports_only_its_own,
    other_accounts_see_nothing,
    lists_come_in_pages_and_filtered,
);

async fn of_many_with_one_name_one_is_made(db: TestDb) {
    let account = db.account("a@b.c").await;
    let template = db.new_instance(account, "echo").await;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..20).map(|n| {
        let store = replicas[n % 2].clone();
        let mut new = template.clone();
        new.id = db.id();
        let told = [event(account, "instance.deployed")];
        tokio::spawn(async move { store.instances().create(new, no_limit, &told).await })
    });
    let mut made = 0;
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(instance) => {
                assert_eq!((instance.status, instance.generation), (S::PendingStart, 1));
                made += 1;
            }
            Err(StoreError::Duplicate {
                what: "instance",
                field: "name",
            }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(db.kinds().await, ["instance.deployed"]);
}

/// Room for three of the default size, of memory alone.
fn three_fit(
    _: &Environment,
    present: &[Resources],
    new: Resources,
) -> Result<(), agentopia_domain::admission::DoesNotFit> {
    let machine = Capacity {
        cpu_millis: 64_000,
        memory_bytes: 1 << 30,
        disk_bytes: 1 << 40,
    };
    admit(machine, present.iter().copied(), new)
}

async fn who_writes_to_tools_at_once_never_waits_in_a_circle(db: TestDb) {
    const ROUNDS: usize = 60;
    let account = db.account("a@b.c").await;
    let mut tools = Vec::new();
    for called in ["one", "two", "three"] {
        tools.push(db.instance(account, called).await);
    }
    let environment = tools[0].environment_id;
    let taken = db.new_instance(account, "one").await;
    let reporting = async {
        for round in 0..ROUNDS {
            let phase = [Phase::Starting, Phase::Running][round % 2];
            let reports: Vec<_> = tools.iter().map(|tool| report(tool.id, phase)).collect();
            let instances = db.store.instances();
            let told = instances.record_observed_unscoped(environment, &reports);
            told.await.unwrap();
        }
    };
    let deploying = async {
        for _ in 0..ROUNDS {
            let mut new = taken.clone();
            new.id = db.id();
            let made = db.store.instances().create(new, no_limit, &[]).await;
            assert_refused!(made, StoreError::Duplicate { .. });
        }
    };
    let changing = async {
        let environments = db.store.environments();
        let mut status = N::PendingCreation;
        for event in [M::CreateStarted, M::Ready]
            .into_iter()
            .chain(std::iter::repeat_n([M::HeartbeatLost, M::HeartbeatHeard], ROUNDS / 2).flatten())
        {
            let patch = EnvironmentPatch::default();
            let moved =
                environments.transition_unscoped(environment, None, status, event, patch, &[]);
            status = moved.await.unwrap().status;
        }
    };
    tokio::join!(reporting, deploying, changing);
}

async fn two_that_fit_only_alone_are_not_both_admitted(db: TestDb) {
    let account = db.account("a@b.c").await;
    let template = db.new_instance(account, "x").await;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..24).map(|n| {
        let store = replicas[n % 2].clone();
        let mut new = template.clone();
        new.id = db.id();
        new.name = name(&format!("tool {n}"));
        tokio::spawn(async move { store.instances().create(new, three_fit, &[]).await })
    });
    let mut made = 0;
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(_) => made += 1,
            Err(StoreError::DoesNotFit(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 3);
}

async fn what_is_stopped_needs_room_to_start(db: TestDb) {
    let account = db.account("a@b.c").await;
    let instances = db.store.instances();
    let stopped = db.instance(account, "first").await.id;
    instances
        .set_intent(account, stopped, I::Stop, no_limit, &[])
        .await
        .unwrap();
    let mut running = stopped;
    for n in 0..3 {
        let new = db.new_instance(account, &format!("tool {n}")).await;
        running = instances.create(new, three_fit, &[]).await.unwrap().id;
    }
    let refused = instances
        .set_intent(account, stopped, I::Start, three_fit, &[])
        .await;
    assert_refused!(refused, StoreError::DoesNotFit(_));
    let still = instances.get(account, stopped).await.unwrap();
    assert_eq!(
        (still.desired, still.generation),
        (DesiredInstance::Stopped, 2)
    );
    // One that runs is not asked for room again.
    let full = |_: &Environment, _: &[Resources], _: Resources| unreachable!("asked for room");
    instances
        .set_intent(account, running, I::Restart, full, &[])
        .await
        .unwrap();
}

async fn intent_moves_generation_and_status(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let instances = db.store.instances();
    let told = [event(account, "instance.intent")];
    let intend = async |intent| {
        instances
            .set_intent(account, id, intent, no_limit, &told)
            .await
    };
    let step = async |from, event| {
        let patch = InstancePatch::default();
        instances
            .transition_unscoped(id, None, from, event, patch, &[])
            .await
            .unwrap()
    };
    assert!(
        !intend(I::Start).await.unwrap().changed,
        "it is wanted already"
    );
    step(S::PendingStart, E::StartBegun).await;
    step(S::Starting, E::Healthy).await;

    let restarted = intend(I::Restart).await.unwrap().value;
    assert_eq!(
        (
            restarted.status,
            restarted.generation,
            restarted.restart_nonce
        ),
        (S::PendingStart, 2, 1)
    );
    step(S::PendingStart, E::Failed).await;
    let again = intend(I::Start).await.unwrap().value;
    assert_eq!((again.status, again.restart_nonce), (S::PendingStart, 2));

    let stopped = intend(I::Stop).await.unwrap().value;
    assert_eq!(
        (stopped.desired, stopped.status),
        (DesiredInstance::Stopped, S::Stopping)
    );
    assert!(!intend(I::Stop).await.unwrap().changed);
    step(S::Stopping, E::StopFinished).await;
    let new = Reconfigure {
        version: Some("2.0.0".into()),
        ..Reconfigure::default()
    };
    let kept = intend(I::Reconfigure(new)).await.unwrap().value;
    assert_eq!((kept.status, kept.version.as_str()), (S::Stopped, "2.0.0"));

    let gone = intend(I::Remove { purge_data: false }).await.unwrap().value;
    assert_eq!(gone.desired, DesiredInstance::Removed { purge_data: false });
    assert_eq!(gone.status, S::PendingRemoval);
    assert!(
        !intend(I::Remove { purge_data: false })
            .await
            .unwrap()
            .changed
    );
    let purged = intend(I::Remove { purge_data: true }).await.unwrap();
    assert!(purged.changed);
    assert!(
        !intend(I::Remove { purge_data: false })
            .await
            .unwrap()
            .changed,
        "not taken back"
    );
    for intent in [
        I::Start,
        I::Stop,
        I::Restart,
        I::Reconfigure(Reconfigure::default()),
    ] {
        assert_refused!(intend(intent).await, StoreError::InstanceTransition(_));
    }
    assert_eq!(db.kinds().await.len(), 6, "one for each change");
}

async fn a_removed_one_frees_its_name_links_and_secrets(db: TestDb) {
    let account = db.account("a@b.c").await;
    let secret = db.secret(account, "KEY").await;
    let mut new = db.new_instance(account, "echo").await;
    new.secrets.insert("API_KEY".into(), secret.id);
    let instances = db.store.instances();
    let made = instances.create(new, no_limit, &[]).await.unwrap();
    assert_eq!(
        made.secrets,
        BTreeMap::from([("API_KEY".to_owned(), secret.id)])
    );
    let agent = db.agent(account, "helper").await;
    let link = db.link(account, agent.id, made.id).await.unwrap();
    assert_refused!(
        db.store.secrets().delete(account, secret.id, &[]).await,
        StoreError::SecretInUse { .. },
    );

    let remove = I::Remove { purge_data: true };
    instances
        .set_intent(account, made.id, remove, no_limit, &[])
        .await
        .unwrap();
    assert_refused!(
        instances
            .create(db.new_instance(account, "echo").await, no_limit, &[])
            .await,
        StoreError::Duplicate { .. },
    );
    assert_refused!(
        db.link(account, db.agent(account, "late").await.id, made.id)
            .await,
        StoreError::NotFound { what: "instance" },
    );
    instances
        .transition_unscoped(
            made.id,
            None,
            S::PendingRemoval,
            E::RemoveFinished,
            InstancePatch::default(),
            &[],
        )
        .await
        .unwrap();
    assert_refused!(
        db.store.links().get(account, link.id).await,
        StoreError::NotFound { .. }
    );
    db.store
        .secrets()
        .delete(account, secret.id, &[])
        .await
        .unwrap();
    db.instance(account, "echo").await;
    assert_eq!(
        instances.get(account, made.id).await.unwrap().status,
        S::Removed
    );
    let all = InstanceFilter {
        with_removed: true,
        ..InstanceFilter::default()
    };
    let page = PageRequest::default();
    assert_eq!(
        instances
            .list(account, &all, page)
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    let present = InstanceFilter::default();
    assert_eq!(
        instances
            .list(account, &present, page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

async fn settings_change_and_wrong_ones_change_nothing(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let foreign = db.secret(other, "KEY").await;
    let own = db.secret(mine, "KEY").await;
    let instances = db.store.instances();
    db.instance(mine, "taken").await;
    let before = db.instance(mine, "echo").await;
    let told = [event(mine, "instance.reconfigured")];
    let change = async |new: Reconfigure| {
        instances
            .set_intent(mine, before.id, I::Reconfigure(new), no_limit, &told)
            .await
    };
    let config = serde_json::json!({"zone": "Europe/Berlin", "a": [1, 2.5, null]});
    let all = Reconfigure {
        name: Some(name("renamed")),
        version: Some("1.1.0".into()),
        config: config.as_object().cloned(),
        secrets: Some(BTreeMap::from([("KEY".into(), own.id)])),
        resources: Some(Resources {
            memory_bytes: 1 << 20,
            ..Resources::default()
        }),
        direct_access: None,
        egress: Default::default(),
        idle: None,
    };
    for wrong in [
        Reconfigure {
            name: Some(name("taken")),
            ..all.clone()
        },
        Reconfigure {
            secrets: Some(BTreeMap::from([("KEY".into(), foreign.id)])),
            ..all.clone()
        },
    ] {
        change(wrong).await.unwrap_err();
        assert_eq!(instances.get(mine, before.id).await.unwrap(), before);
    }
    assert!(db.kinds().await.is_empty());
    let after = change(all.clone()).await.unwrap().value;
    assert_eq!(Some(after.name.clone()), all.name);
    assert_eq!(Some(after.config.clone()), all.config);
    assert_eq!(Some(after.secrets.clone()), all.secrets);
    assert_eq!(Some(after.resources), all.resources);
    assert_eq!(instances.get(mine, before.id).await.unwrap(), after);
}

fn report(id: InstanceId, phase: Phase) -> ObservedInstance {
    ObservedInstance {
        instance_id: id,
        generation: 1,
        phase,
        message: None,
        running_version: None,
        runtime: RuntimeDetails {
            port: Some(31_000),
            ..RuntimeDetails::default()
        },
    }
}

async fn a_machine_reports_only_its_own(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let (ours, theirs) = (db.instance(mine, "x").await, db.instance(other, "x").await);
    let instances = db.store.instances();
    let reports = [
        report(ours.id, Phase::Running),
        report(theirs.id, Phase::Failed),
    ];
    let environment = ours.environment_id;
    let record = async || {
        instances
            .record_observed_unscoped(environment, &reports)
            .await
            .unwrap()
    };
    assert_eq!(record().await, [ours.id]);
    assert_eq!(record().await, [], "the same again is nothing new");
    let seen = instances.get_unscoped(ours.id).await.unwrap();
    assert_eq!(seen.observed.as_ref(), Some(&reports[0]));
    assert_eq!(
        seen.instance.status,
        S::PendingStart,
        "a report moves no status"
    );
    assert_eq!(
        instances.get_unscoped(theirs.id).await.unwrap().observed,
        None
    );
    assert_eq!(
        instances
            .on_environment_unscoped(environment)
            .await
            .unwrap(),
        [seen]
    );

    let patch = InstancePatch {
        running_version: Some(Some("1.0.0".into())),
        observed_generation: Some(1),
        progress: Some(Some("pulling image".into())),
        error_message: Some(None),
        runtime: Some(reports[0].runtime.clone()),
    };
    let step =
        instances.transition_unscoped(ours.id, None, S::PendingStart, E::Healthy, patch, &[]);
    let running = step.await.unwrap();
    assert_eq!(
        (running.status, running.observed_generation),
        (S::Running, 1)
    );
    assert_eq!(running.runtime.port, Some(31_000));
    assert_eq!(running.progress.as_deref(), Some("pulling image"));
    let stale = InstancePatch::default();
    assert_refused!(
        instances
            .transition_unscoped(ours.id, None, S::PendingStart, E::Healthy, stale, &[])
            .await,
        StoreError::Stale { .. },
    );
}

async fn other_accounts_see_nothing(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let made = db.instance(mine, "echo").await;
    db.environment(other).await;
    let instances = db.store.instances();
    assert_refused!(
        instances.get(other, made.id).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        instances
            .set_intent(other, made.id, I::Stop, no_limit, &[])
            .await,
        StoreError::NotFound { what: "instance" },
    );
    let mut foreign = db.new_instance(other, "mine").await;
    foreign.environment_id = made.environment_id;
    assert_refused!(
        instances.create(foreign, no_limit, &[]).await,
        StoreError::NotFound {
            what: "environment"
        },
    );
    let mut unknown = db.new_instance(other, "mine").await;
    unknown.catalog_entry_id = db.id();
    assert_refused!(
        instances.create(unknown, no_limit, &[]).await,
        StoreError::NotFound {
            what: "catalog entry"
        },
    );
    let mut borrowed = db.new_instance(other, "mine").await;
    borrowed
        .secrets
        .insert("KEY".into(), db.secret(mine, "KEY").await.id);
    assert_refused!(
        instances.create(borrowed, no_limit, &[]).await,
        StoreError::NotFound { what: "secret" },
    );
    let theirs = instances
        .list(other, &InstanceFilter::default(), PageRequest::default())
        .await;
    assert!(theirs.unwrap().items.is_empty());
}

async fn lists_come_in_pages_and_filtered(db: TestDb) {
    let account = db.account("a@b.c").await;
    let other = db.account("o@b.c").await;
    db.instance(other, "tool 0").await;
    let mut made = Vec::new();
    for n in 0..5 {
        db.clock.advance(std::time::Duration::from_millis(1));
        made.push(db.instance(account, &format!("tool {n}")).await);
    }
    let instances = db.store.instances();
    let all = InstanceFilter::default();
    let first = instances
        .list(
            account,
            &all,
            PageRequest {
                after: None,
                limit: 3,
            },
        )
        .await
        .unwrap();
    assert_eq!(first.items, made[..3]);
    let next = PageRequest {
        after: first.next,
        limit: 3,
    };
    let second = instances.list(account, &all, next).await.unwrap();
    assert_eq!((second.items.as_slice(), second.next), (&made[3..], None));
    let named = InstanceFilter {
        name: Some(name("tool 4")),
        ..InstanceFilter::default()
    };
    let found = instances
        .list(account, &named, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(found.items, made[4..]);
    let everybody = instances
        .list_unscoped(&all, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(everybody.items.len(), 6);
}
