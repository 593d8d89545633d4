//! One firewall is for the machine, and it lets in nobody but the control plane, to the agent.

use agentopia_test_support::simulator::GATEWAY;
use anyhow::Context as _;
use serde_json::{Value, json};

use crate::story::Story;

pub(crate) async fn is_the_only_one(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let simulator = &story.cluster.simulator;
    let droplet = &simulator
        .get(&format!("/v2/droplets/{}", machine.id))
        .await?["droplet"];
    let firewalls = simulator.list("firewalls").await?;
    let ours: Vec<_> = firewalls
        .iter()
        .filter(|firewall| is_for(firewall, droplet))
        .collect();
    let [firewall] = ours[..] else {
        anyhow::bail!("not one firewall is for the machine: {firewalls:#?}");
    };
    let environment = story.cluster.admin.environment().await?;
    let port = environment.dtma_port.context("no port is known")?;
    let inbound: Vec<_> = values(&firewall["inbound_rules"])
        .iter()
        .filter(|rule| rule["protocol"] != "icmp")
        .collect();
    let agent = json!({
        "protocol": "tcp",
        "ports": port.to_string(),
        "sources": {"addresses": [GATEWAY]},
    });
    assert_eq!(inbound, [&agent], "{firewall}");
    Ok(())
}

/// By its id, or by any of its tags.
fn is_for(firewall: &Value, droplet: &Value) -> bool {
    let tags = values(&droplet["tags"]);
    values(&firewall["droplet_ids"]).contains(&droplet["id"])
        || values(&firewall["tags"])
            .iter()
            .any(|tag| tags.contains(tag))
}

fn values(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
