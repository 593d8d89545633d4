//! What firewalls look like.

use serde_json::{Map, Value, json};

use super::time;
use crate::state::{Firewall, Rule, RuleTarget};

pub(in crate::http) fn firewall(firewall: &Firewall) -> Value {
    let pending = firewall.pending.iter().map(|(droplet, removing)| {
        json!({
            "droplet_id": droplet,
            "removing": removing,
            "status": firewall.status.name(),
        })
    });
    json!({
        "id": firewall.id,
        "name": firewall.name,
        "status": firewall.status.name(),
        "inbound_rules": rules(&firewall.rules.inbound, "sources"),
        "outbound_rules": rules(&firewall.rules.outbound, "destinations"),
        "created_at": time(firewall.created_at),
        "droplet_ids": firewall.droplets,
        "tags": firewall.tags,
        "pending_changes": pending.collect::<Vec<_>>(),
    })
}

fn rules(rules: &[Rule], other_end: &str) -> Vec<Value> {
    rules
        .iter()
        .map(|rule| {
            json!({
                "protocol": rule.protocol,
                "ports": rule.ports,
                other_end: target(&rule.target),
            })
        })
        .collect()
}

/// Only what there is.
fn target(target: &RuleTarget) -> Value {
    let mut rendered = Map::new();
    if !target.addresses.is_empty() {
        rendered.insert("addresses".to_owned(), json!(target.addresses));
    }
    if !target.droplets.is_empty() {
        rendered.insert("droplet_ids".to_owned(), json!(target.droplets));
    }
    if !target.tags.is_empty() {
        rendered.insert("tags".to_owned(), json!(target.tags));
    }
    Value::Object(rendered)
}
