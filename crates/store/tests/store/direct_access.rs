//! Who may reach tools directly, and what was written to machines' firewalls for it (TOOL-11).

use std::time::Duration;

use agentopia_domain::direct_access::{
    DirectAccess, FirewallRecord, MOST_RULES, PortProtocol, Sources,
};
use agentopia_store::{EnvironmentPatch, InstanceIntent as I, LeaseKind, Reconfigure, StoreError};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, name, no_limit};

on_both_engines!(
    a_grant_is_kept_and_changed,
    a_firewall_never_gets_more_rules_than_it_holds,
    a_change_of_a_reachable_tool_wakes_the_environment,
    what_was_written_to_a_firewall_is_kept,
);

fn access(protocols: &[PortProtocol], sources: &str) -> DirectAccess {
    DirectAccess {
        port: 8080,
        protocols: protocols.iter().copied().collect(),
        sources: Sources::parse([sources]).unwrap(),
    }
}

const TCP: &[PortProtocol] = &[PortProtocol::Tcp];
const BOTH: &[PortProtocol] = &[PortProtocol::Tcp, PortProtocol::Udp];

async fn a_grant_is_kept_and_changed(db: TestDb) {
    let account = db.account("a@b.c").await;
    let instances = db.store.instances();
    let mut new = db.new_instance(account, "echo").await;
    new.direct_access = Some(access(TCP, "10.0.0.0/8"));
    let made = instances.create(new, no_limit, &[]).await.unwrap();
    assert_eq!(made.direct_access, Some(access(TCP, "10.0.0.0/8")));
    let other = I::Reconfigure(Reconfigure {
        direct_access: Some(access(TCP, "192.0.2.1")),
        ..Reconfigure::default()
    });
    let changed = instances.set_intent(account, made.id, other, no_limit, &[]);
    let changed = changed.await.unwrap().value;
    assert_eq!(changed.direct_access, Some(access(TCP, "192.0.2.1")));
    assert_eq!(
        changed.generation,
        made.generation + 1,
        "its machine is told"
    );
    // A change of something else leaves it as it is.
    let renamed = I::Reconfigure(Reconfigure {
        name: Some(name("other")),
        ..Reconfigure::default()
    });
    let renamed = instances.set_intent(account, made.id, renamed, no_limit, &[]);
    assert_eq!(
        renamed.await.unwrap().value.direct_access,
        changed.direct_access
    );
    assert_eq!(db.instance(account, "plain").await.direct_access, None);
}

async fn a_firewall_never_gets_more_rules_than_it_holds(db: TestDb) {
    let account = db.account("a@b.c").await;
    let template = db.new_instance(account, "x").await;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..MOST_RULES / 2 + 6).map(|n| {
        let store = replicas[n % 2].clone();
        let mut new = template.clone();
        new.id = db.id();
        new.name = name(&format!("tool {n}"));
        new.direct_access = Some(access(BOTH, "10.0.0.0/8"));
        tokio::spawn(async move { store.instances().create(new, no_limit, &[]).await })
    });
    let mut made = Vec::new();
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(instance) => made.push(instance.id),
            Err(StoreError::TooManyRules(refused)) => assert_eq!(refused.needed, MOST_RULES + 2),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made.len(), MOST_RULES / 2);
    let instances = db.store.instances();
    // Tools without such a port are not concerned, and a stopped one keeps its place.
    let plain = db.instance(account, "plain").await.id;
    let stop = instances.set_intent(account, made[0], I::Stop, no_limit, &[]);
    stop.await.unwrap();
    let grant = || {
        I::Reconfigure(Reconfigure {
            direct_access: Some(access(TCP, "10.0.0.0/8")),
            ..Reconfigure::default()
        })
    };
    let refused = instances.set_intent(account, plain, grant(), no_limit, &[]);
    assert_refused!(refused.await, StoreError::TooManyRules(_));
    // Its own rules don't stand in the way of a change of them.
    let own = instances.set_intent(account, made[1], grant(), no_limit, &[]);
    own.await.unwrap();
    let now = instances.set_intent(account, plain, grant(), no_limit, &[]);
    now.await.unwrap();
}

async fn a_change_of_a_reachable_tool_wakes_the_environment(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (leases, instances) = (db.store.leases(), db.store.instances());
    let mut reachable = db.new_instance(account, "reachable").await;
    reachable.direct_access = Some(access(TCP, "10.0.0.0/8"));
    let reachable = instances.create(reachable, no_limit, &[]).await.unwrap().id;
    let plain = db.instance(account, "plain").await.id;
    let is_due = async || {
        let ttl = Duration::from_secs(60);
        let claims = leases.claim_due(LeaseKind::Environment, "me", ttl, 10);
        let claims = claims.await.unwrap();
        for claim in &claims {
            let release = leases.release(LeaseKind::Environment, claim.id, claim.token, None);
            release.await.unwrap();
        }
        !claims.is_empty()
    };
    assert!(is_due().await, "it is new");
    assert!(!is_due().await);
    let stop = instances.set_intent(account, plain, I::Stop, no_limit, &[]);
    stop.await.unwrap();
    assert!(!is_due().await, "its firewall does not change");
    let stop = instances.set_intent(account, reachable, I::Stop, no_limit, &[]);
    stop.await.unwrap();
    assert!(is_due().await);
}

async fn what_was_written_to_a_firewall_is_kept(db: TestDb) {
    let account = db.account("a@b.c").await;
    let environment = db.environment(account).await;
    assert_eq!(environment.firewall, None);
    let environments = db.store.environments();
    let records = [
        FirewallRecord::Unsure {
            problem: None,
            at: db.ambient.now(),
        },
        FirewallRecord::Unsure {
            problem: Some("the token does not allow it".to_owned()),
            at: db.ambient.now(),
        },
        FirewallRecord::Written {
            machine_id: Some("7".to_owned()),
            ports: access(BOTH, "2001:db8::/32").on(30_100).collect(),
            at: db.ambient.now(),
        },
    ];
    for record in records {
        let patch = EnvironmentPatch {
            firewall: Some(Some(record.clone())),
            ..EnvironmentPatch::default()
        };
        let update = environments.update_unscoped(environment.id, None, patch, &[]);
        assert_eq!(update.await.unwrap().firewall, Some(record));
    }
}
