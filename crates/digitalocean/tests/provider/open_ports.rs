//! The firewall of one machine has what its tools need, and nothing else (TOOL-11).

use std::collections::BTreeSet;

use agentopia_cloud::{Machine, MachineProvider as _, ProviderError};
use agentopia_digitalocean::firewalls::{Firewall, InboundRule, Ports, Protocol, Rules, Targets};
use agentopia_domain::direct_access::{OpenPort, PortProtocol, Sources};
use digitalocean_sim::faults::{Answer, RequestRule, When};
use digitalocean_sim::journal::JournalFilter;

use crate::rig::{Rig, seconds};

fn tcp(port: u16, sources: &[&str]) -> OpenPort {
    OpenPort {
        port,
        protocol: PortProtocol::Tcp,
        sources: Sources::parse(sources).unwrap(),
    }
}

async fn machine(rig: &Rig) -> Machine {
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(30).await;
    made
}

async fn open(rig: &Rig, machine: &Machine, ports: &[OpenPort]) -> Result<(), ProviderError> {
    let ports: BTreeSet<OpenPort> = ports.iter().cloned().collect();
    let sought = rig.sought(Some(&machine.id));
    rig.provider.open_ports(sought, &ports).await
}

/// Every firewall but the common one, which must be as it was.
async fn own(rig: &Rig) -> Vec<Firewall> {
    let all = rig.api.firewalls().list().all().await.unwrap();
    let (common, own): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|each| each.name == "agentopia-test");
    assert_eq!(common[0].rules.inbound.len(), 1, "the common one stays");
    own
}

fn rule(port: u16, sources: &[&str]) -> InboundRule {
    InboundRule {
        protocol: Protocol::Tcp,
        ports: Ports::one(port),
        sources: Targets::addresses(sources.iter().copied()),
    }
}

fn writes(rig: &Rig) -> usize {
    let count = |method: &str| {
        let filter = JournalFilter {
            method: Some(method.to_owned()),
            ..JournalFilter::default()
        };
        let entries = rig.simulator.journal(&filter);
        let about = entries
            .iter()
            .filter(|entry| entry.path.starts_with("/v2/firewalls"));
        about.count()
    };
    count("POST") + count("PUT") + count("DELETE")
}

#[tokio::test(start_paused = true)]
async fn it_holds_for_the_one_droplet_with_exactly_the_rules_and_is_gone_with_the_last() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let two = [
        tcp(30_100, &["203.0.113.7", "10.0.0.0/8"]),
        tcp(30_200, &["0.0.0.0/0", "::/0"]),
    ];
    open(&rig, &machine, &two).await.unwrap();
    let found = own(&rig).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].name,
        format!("agentopia-test-env-{}", rig.environment)
    );
    assert!(found[0].tags.is_empty(), "{found:?}");
    let droplets: Vec<String> = found[0]
        .droplet_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(droplets, [machine.id.as_str()]);
    let rules = Rules {
        inbound: [
            rule(30_100, &["10.0.0.0/8", "203.0.113.7"]),
            rule(30_200, &["0.0.0.0/0", "::/0"]),
        ]
        .into(),
        outbound: BTreeSet::new(),
    };
    assert_eq!(found[0].rules, rules);
    open(&rig, &machine, &two[..1]).await.unwrap();
    let found = own(&rig).await;
    assert_eq!(found[0].rules.inbound.len(), 1);
    open(&rig, &machine, &[]).await.unwrap();
    assert!(own(&rig).await.is_empty());
    open(&rig, &machine, &[]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_so_is_not_written_again_and_what_somebody_changed_is_put_right() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let ports = [tcp(30_100, &["10.0.0.0/8"])];
    open(&rig, &machine, &ports).await.unwrap();
    let before = writes(&rig);
    open(&rig, &machine, &ports).await.unwrap();
    assert_eq!(writes(&rig), before);
    let found = own(&rig).await.remove(0);
    let opened = Rules {
        inbound: [rule(22, &["0.0.0.0/0"])].into(),
        outbound: BTreeSet::new(),
    };
    rig.api
        .firewalls()
        .add_rules(&found.id, &opened)
        .await
        .unwrap();
    rig.api
        .firewalls()
        .remove_droplets(
            &found.id,
            &found.droplet_ids.iter().copied().collect::<Vec<_>>(),
        )
        .await
        .unwrap();
    open(&rig, &machine, &ports).await.unwrap();
    let mended = own(&rig).await.remove(0);
    assert_eq!(
        (mended.rules, mended.droplet_ids),
        (found.rules, found.droplet_ids)
    );
    rig.api.firewalls().delete(&mended.id).await.unwrap();
    open(&rig, &machine, &ports).await.unwrap();
    assert_eq!(own(&rig).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_whose_making_was_not_heard_of_is_taken_over() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let lost = RequestRule::new(Answer::Closed).on("POST", "/v2/firewalls");
    rig.request_fault(lost.when(When::nth(1)).after_side_effect());
    let ports = [tcp(30_100, &["10.0.0.0/8"])];
    let error = open(&rig, &machine, &ports).await.unwrap_err();
    assert!(matches!(error, ProviderError::Retryable(_)), "{error}");
    open(&rig, &machine, &ports).await.unwrap();
    assert_eq!(own(&rig).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_that_make_it_at_once_both_have_it() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let other = rig.restarted();
    let ports = BTreeSet::from([tcp(30_100, &["10.0.0.0/8"])]);
    let sought = rig.sought(Some(&machine.id));
    let (one, two) = tokio::join!(
        rig.provider.open_ports(sought, &ports),
        other.open_ports(sought, &ports)
    );
    one.unwrap();
    two.unwrap();
    assert_eq!(own(&rig).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_rules_than_a_firewall_holds_are_refused_unsent() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let many: Vec<OpenPort> = (0..51).map(|n| tcp(30_100 + n, &["10.0.0.0/8"])).collect();
    open(&rig, &machine, &many[..50]).await.unwrap();
    let before = writes(&rig);
    let error = open(&rig, &machine, &many).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Final(text) if text.contains("50")),
        "{error}"
    );
    assert_eq!(writes(&rig), before);
}

#[tokio::test(start_paused = true)]
async fn it_goes_with_its_machine() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    open(&rig, &machine, &[tcp(30_100, &["10.0.0.0/8"])])
        .await
        .unwrap();
    rig.delete(Some(&machine.id)).await;
    assert!(own(&rig).await.is_empty());
}
