//! The firewall of a droplet follows what its tools need (TOOL-11): there while they are active, gone
//! when they are not, whatever happens to requests, replicas, and to the firewall itself.

use std::collections::BTreeMap;

use agentopia_digitalocean::firewalls::{Ports, Protocol};
use agentopia_domain::InstanceId;
use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::direct_access::{DirectAccess, FirewallRecord, PortProtocol, Sources};
use agentopia_domain::environment::{EnvironmentEvent, EnvironmentStatus};
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::{InstanceEvent as E, InstanceStatus as S, RuntimeDetails};
use agentopia_domain::name::Name;
use agentopia_store::{EnvironmentPatch, InstanceIntent, InstancePatch, NewInstance};
use digitalocean_sim::faults::{Answer, RequestRule, When};
use digitalocean_sim::journal::JournalFilter;

use crate::droplets::Droplets;

const PORT: u16 = 30_100;

/// A tool that is reached directly, not started yet.
async fn deploy(droplets: &Droplets, name: &str) -> InstanceId {
    let at = &droplets.at;
    let definition: CatalogDefinition =
        toml::from_str(include_str!("../../src/catalog_seed/echo.toml")).unwrap();
    let catalog = at.store.catalog();
    let entry = catalog.upsert(at.ambient.new_id(), &definition, &[]);
    let new = NewInstance {
        id: at.ambient.new_id(),
        account_id: droplets.account,
        environment_id: droplets.environment,
        catalog_entry_id: entry.await.unwrap().value.id,
        name: Name::parse(name).unwrap(),
        version: "0.1.0".to_owned(),
        config: serde_json::Map::new(),
        secrets: BTreeMap::new(),
        resources: definition.resources,
        running: true,
        remote: None,
        egress: Default::default(),
        direct_access: Some(DirectAccess {
            port: 8080,
            protocols: [PortProtocol::Tcp].into(),
            sources: Sources::parse(["203.0.113.0/24"]).unwrap(),
        }),
        idle: IdleSetting::Inherit,
    };
    let instances = at.store.instances();
    instances
        .create(new, |_, _, _| Ok(()), &[])
        .await
        .unwrap()
        .id
}

/// What the instance reconciler writes when the machine reports something.
async fn happens(droplets: &Droplets, id: InstanceId, from: S, event: E, port: u16) {
    let patch = InstancePatch {
        runtime: Some(RuntimeDetails {
            port: Some(port),
            ..RuntimeDetails::default()
        }),
        ..InstancePatch::default()
    };
    let instances = droplets.at.store.instances();
    let done = instances.transition_unscoped(id, None, from, event, patch, &[]);
    done.await.unwrap();
}

async fn running(droplets: &Droplets, name: &str, port: u16) -> InstanceId {
    let id = deploy(droplets, name).await;
    happens(droplets, id, S::PendingStart, E::Healthy, port).await;
    id
}

async fn intend(droplets: &Droplets, id: InstanceId, intent: InstanceIntent) {
    let instances = droplets.at.store.instances();
    let done = instances.set_intent(droplets.account, id, intent, |_, _, _| Ok(()), &[]);
    done.await.unwrap();
}

/// The ports that the droplet's own firewall lets in.
async fn let_in(droplets: &Droplets) -> Vec<u16> {
    let firewalls = droplets.own_firewalls().await;
    assert!(firewalls.len() <= 1, "{firewalls:?}");
    let known = droplets.now().await.machine_id.unwrap();
    let mut ports = Vec::new();
    for firewall in firewalls {
        let holds_for: Vec<String> = firewall
            .droplet_ids
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(holds_for, [known.as_str()]);
        assert!(firewall.tags.is_empty() && firewall.rules.outbound.is_empty());
        for rule in firewall.rules.inbound {
            assert_eq!(rule.protocol, Protocol::Tcp);
            let sources: Vec<String> = rule.sources.addresses.into_iter().collect();
            assert_eq!(sources, ["203.0.113.0/24"]);
            let Ports::Range { first, .. } = rule.ports else {
                panic!("all ports");
            };
            ports.push(first);
        }
    }
    ports
}

fn asked(droplets: &Droplets) -> usize {
    let filter = JournalFilter::default();
    let entries = droplets.simulator.journal(&filter);
    let about = entries
        .iter()
        .filter(|entry| entry.path.starts_with("/v2/firewalls"));
    about.count()
}

#[tokio::test]
async fn a_port_is_let_in_while_its_tool_is_active_and_at_no_other_time() {
    let droplets = Droplets::active().await;
    let first = deploy(&droplets, "first").await;
    droplets.step().await;
    assert!(let_in(&droplets).await.is_empty(), "it does not run yet");
    happens(&droplets, first, S::PendingStart, E::Healthy, PORT).await;
    let second = running(&droplets, "second", PORT + 1).await;
    droplets.step().await;
    assert_eq!(let_in(&droplets).await, [PORT, PORT + 1]);
    // It comes back by itself, and nobody outside has to notice.
    happens(&droplets, first, S::Running, E::Crashed, PORT).await;
    droplets.step().await;
    assert_eq!(let_in(&droplets).await, [PORT, PORT + 1]);
    happens(&droplets, first, S::Starting, E::Failed, PORT).await;
    droplets.step().await;
    assert_eq!(let_in(&droplets).await, [PORT + 1]);
    happens(&droplets, first, S::ErrorRuntime, E::Healthy, PORT).await;
    intend(&droplets, second, InstanceIntent::Stop).await;
    droplets.step().await;
    assert_eq!(let_in(&droplets).await, [PORT]);
    let remove = InstanceIntent::Remove { purge_data: true };
    intend(&droplets, first, remove).await;
    droplets.step().await;
    assert!(
        droplets.own_firewalls().await.is_empty(),
        "not even an empty one"
    );
    let timeline = droplets.timeline().await;
    let told = timeline
        .iter()
        .filter(|event| event.kind == "environment.ports_changed");
    let told: Vec<&str> = told.map(|event| event.message.as_str()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told[0].contains("30100/tcp from 203.0.113.0/24"),
        "{told:?}"
    );
}

#[tokio::test]
async fn nothing_is_asked_while_nothing_changes_and_what_others_changed_is_put_right() {
    let mut droplets = Droplets::active().await;
    let before = asked(&droplets);
    for _ in 0..30 {
        droplets.step().await;
        droplets.pass(10).await;
    }
    assert_eq!(asked(&droplets), before, "no tool needs it");
    running(&droplets, "first", PORT).await;
    droplets.step().await;
    let before = asked(&droplets);
    for _ in 0..30 {
        droplets.step().await;
        droplets.pass(10).await;
    }
    assert_eq!(asked(&droplets), before, "five minutes");
    let firewall = droplets.own_firewalls().await.remove(0);
    droplets
        .api()
        .firewalls()
        .delete(&firewall.id)
        .await
        .unwrap();
    for _ in 0..31 {
        droplets.step().await;
        droplets.pass(10).await;
    }
    assert_eq!(let_in(&droplets).await, [PORT]);
}

#[tokio::test]
async fn a_crash_in_the_middle_is_made_good() {
    let mut droplets = Droplets::active().await;
    let id = running(&droplets, "first", PORT).await;
    let lost = RequestRule::new(Answer::Closed).on("POST", "/v2/firewalls");
    droplets
        .simulator
        .add_request_fault(lost.when(When::nth(1)).after_side_effect());
    droplets.step().await;
    let record = droplets.now().await.firewall;
    assert!(
        matches!(record, Some(FirewallRecord::Unsure { .. })),
        "{record:?}"
    );
    // Nobody wants it any more by the time that another control plane looks.
    intend(&droplets, id, InstanceIntent::Stop).await;
    droplets.restart();
    droplets.pass(20).await;
    droplets.step().await;
    assert!(droplets.own_firewalls().await.is_empty());
    let record = droplets.now().await.firewall;
    assert!(matches!(record, Some(FirewallRecord::Written { ports, .. }) if ports.is_empty()));
}

#[tokio::test]
async fn a_firewall_that_cannot_be_written_is_told_of_once_and_tools_go_on() {
    let mut droplets = Droplets::active().await;
    running(&droplets, "first", PORT).await;
    let refused = RequestRule::new(Answer::Unavailable).on("POST", "/v2/firewalls");
    droplets
        .simulator
        .add_request_fault(refused.when(When::always()));
    for _ in 0..4 {
        droplets.step().await;
        droplets.pass(20).await;
    }
    let now = droplets.now().await;
    assert_eq!(now.status, EnvironmentStatus::Active);
    assert_eq!(now.error_message, None, "its tools are well");
    assert!(matches!(
        now.firewall,
        Some(FirewallRecord::Unsure {
            problem: Some(_),
            ..
        })
    ));
    let timeline = droplets.timeline().await;
    let told = timeline
        .iter()
        .filter(|event| event.kind == "environment.ports_failed");
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn another_machine_gets_a_firewall_for_itself() {
    let mut droplets = Droplets::active().await;
    let id = running(&droplets, "first", PORT).await;
    droplets.step().await;
    let first = droplets.now().await.machine_id;
    let droplet = first.as_ref().unwrap().parse().unwrap();
    let gone = agentopia_digitalocean::DropletId(droplet);
    droplets.api().droplets().delete(gone).await.unwrap();
    droplets.pass(120).await;
    droplets
        .until(|now| {
            now.status == EnvironmentStatus::Creating
                && now.machine_id.is_some()
                && now.machine_id != first
        })
        .await;
    droplets.pass(60).await;
    let environments = droplets.at.store.environments();
    let (environment, patch) = (droplets.environment, EnvironmentPatch::default());
    let (from, ready) = (EnvironmentStatus::Creating, EnvironmentEvent::Ready);
    let done = environments.transition_unscoped(environment, None, from, ready, patch, &[]);
    done.await.unwrap();
    assert_eq!(
        droplets
            .at
            .store
            .instances()
            .get_unscoped(id)
            .await
            .unwrap()
            .instance
            .status,
        S::Running
    );
    droplets.step().await;
    assert_eq!(let_in(&droplets).await, [PORT]);
}
