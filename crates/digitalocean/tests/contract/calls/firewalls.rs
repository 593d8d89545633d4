//! Firewalls.

use agentopia_digitalocean::firewalls::{
    FirewallSpec, InboundRule, OutboundRule, Ports, Protocol, Rules, Targets,
};
use agentopia_digitalocean::{Client, DropletId, FirewallId, FirewallName, TagName};

use super::{ok, some};

pub(crate) fn firewall_id() -> FirewallId {
    FirewallId("bb4b2611-3d72-467b-8602-280330ecd65c".into())
}

/// With every kind of rule and target.
pub(crate) fn firewall() -> FirewallSpec {
    FirewallSpec {
        name: FirewallName::parse("agentopia-0199").unwrap(),
        rules: rules(),
        droplet_ids: [DropletId(8_043_964)].into(),
        tags: [TagName::parse("env:0199").unwrap()].into(),
    }
}

fn rules() -> Rules {
    let inbound = |protocol, ports, sources| InboundRule {
        protocol,
        ports,
        sources,
    };
    let everybody = Targets {
        droplet_ids: [DropletId(1)].into(),
        load_balancer_uids: ["4de7ac8b-495b-4884-9a69-1050c6793cd6".to_owned()].into(),
        kubernetes_ids: ["41b74c5d-9bd0-5555-5555-a57c495b81a3".to_owned()].into(),
        tags: ["base-image".to_owned()].into(),
        ..Targets::anywhere()
    };
    let range = Ports::Range {
        first: 8000,
        last: 9000,
    };
    Rules {
        inbound: [
            inbound(
                Protocol::Tcp,
                Ports::one(30_000),
                Targets::addresses(["203.0.113.7"]),
            ),
            inbound(Protocol::Udp, range, everybody),
            inbound(Protocol::Icmp, Ports::All, Targets::anywhere()),
        ]
        .into(),
        outbound: [OutboundRule {
            protocol: Protocol::Tcp,
            ports: Ports::All,
            destinations: Targets::anywhere(),
        }]
        .into(),
    }
}

pub(super) async fn all(client: &Client) {
    let firewalls = client.firewalls();
    let id = firewall_id();
    ok(firewalls.list().all()).await;
    some(firewalls.get(&id)).await;
    ok(firewalls.create(&firewall())).await;
    let closed = FirewallSpec {
        rules: Rules::default(),
        droplet_ids: [].into(),
        tags: [].into(),
        ..firewall()
    };
    ok(firewalls.replace(&id, &firewall())).await;
    ok(firewalls.replace(&id, &closed)).await;
    let droplets = [DropletId(49_696_269)];
    ok(firewalls.add_droplets(&id, &droplets)).await;
    ok(firewalls.remove_droplets(&id, &droplets)).await;
    let tags = [TagName::parse("frontend").unwrap()];
    ok(firewalls.add_tags(&id, &tags)).await;
    ok(firewalls.remove_tags(&id, &tags)).await;
    ok(firewalls.add_rules(&id, &rules())).await;
    ok(firewalls.remove_rules(&id, &rules())).await;
    ok(firewalls.delete(&id)).await;
}
