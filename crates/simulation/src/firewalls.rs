//! What protects droplets: the firewall that all have in common, and the one that a machine has of its
//! own for tools that are reached directly.

use std::collections::BTreeSet;

use agentopia_domain::EnvironmentId;
use axum::body::Body;
use digitalocean_sim::READ_TOKEN;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::ledger;
use crate::people::NEIGHBOUR;
use crate::replica::INSTALLATION;
use crate::world::World;

/// What the firewall that a machine has of its own lets in, and to where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MachineFirewall {
    droplets: BTreeSet<u64>,
    /// Protocol, port and source of each rule.
    ways: BTreeSet<(String, String, String)>,
}

impl MachineFirewall {
    /// One that lets those in who may reach tools directly, at these ports.
    pub(crate) fn open(droplet: u64, ports: &BTreeSet<u16>) -> Self {
        let way = |port: &u16| ("tcp".to_owned(), port.to_string(), NEIGHBOUR.to_owned());
        Self {
            droplets: BTreeSet::from([droplet]),
            ways: ports.iter().map(way).collect(),
        }
    }

    /// That of an environment's machine, of all that there are.
    pub(crate) fn of(environment: EnvironmentId, all: &[Value]) -> Option<Self> {
        let name = machine_firewall(environment);
        let found = all.iter().find(|each| each["name"] == *name)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let droplets = list(&found["droplet_ids"]);
        let mut ways = BTreeSet::new();
        for rule in list(&found["inbound_rules"]) {
            for source in list(&rule["sources"]["addresses"]) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                ways.insert((text(&rule["protocol"]), text(&rule["ports"]), text(&source)));
            }
        }
        Some(Self {
            droplets: droplets.iter().filter_map(Value::as_u64).collect(),
            ways,
        })
    }
}

fn machine_firewall(environment: EnvironmentId) -> String {
    format!("agentopia-{INSTALLATION}-env-{environment}")
}

/// All that there are.
pub(crate) async fn all(world: &World) -> Vec<Value> {
    let firewalls = ask(world, "/v2/firewalls?per_page=200").await;
    firewalls["firewalls"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Which droplets nothing protects.
pub(crate) async fn open_to_all(world: &World) -> Vec<String> {
    let mut open = Vec::new();
    for droplet in world.simulator.droplets().await {
        if !ledger::is_ours(&droplet) {
            continue;
        }
        let firewalls = ask(world, &format!("/v2/droplets/{}/firewalls", droplet.id)).await;
        let firewalls = firewalls["firewalls"].as_array().cloned();
        let firewalls = firewalls.unwrap_or_default();
        if firewalls.is_empty() {
            open.push(format!("no firewall protects droplet {}", droplet.id));
        }
        let inbound = firewalls
            .iter()
            .map(|each| each["inbound_rules"].to_string());
        for rules in inbound.filter(|rules| rules.contains("0.0.0.0/0")) {
            open.push(format!(
                "everybody may reach droplet {}: {rules}",
                droplet.id
            ));
        }
    }
    open
}

/// What is there that belongs to nobody: firewalls beside the common one and those of machines.
/// Whether a machine may have one is looked at with its account.
pub(crate) async fn ownerless(world: &World, owners: &[EnvironmentId]) -> Vec<String> {
    let firewalls = all(world).await;
    let mut names: Vec<&str> = firewalls
        .iter()
        .filter_map(|each| each["name"].as_str())
        .collect();
    let common = format!("agentopia-{INSTALLATION}");
    let machines = owners.iter().map(|owner| machine_firewall(*owner));
    for allowed in machines.chain([common]) {
        if let Some(place) = names.iter().position(|name| *name == allowed) {
            names.remove(place);
        }
    }
    names
        .into_iter()
        .map(|name| format!("the firewall {name} belongs to nobody"))
        .collect()
}

async fn ask(world: &World, path: &str) -> Value {
    let request = Request::get(path).header("authorization", format!("Bearer {READ_TOKEN}"));
    let Ok(request) = request.body(Body::empty()) else {
        return Value::Null;
    };
    let answer = match world.cloud.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let Ok(body) = answer.into_body().collect().await else {
        return Value::Null;
    };
    serde_json::from_slice(&body.to_bytes()).unwrap_or_default()
}
