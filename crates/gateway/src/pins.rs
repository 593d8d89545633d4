//! Tool definitions that were accepted (TOOL-10): whatever a server lists is compared with them. What is new or
//! described otherwise is told to the control plane, and not shown to agents where the owner wants it held back.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use agentopia_domain::InstanceId;
use agentopia_domain::definitions::{Hashes, hash};
use agentopia_mcp::ListItem;
use dashmap::DashMap;
use serde_json::Value;

use crate::core::Core;
use crate::routes::InstanceRoute;
use crate::upstream::live::Listed;
use crate::upstream::shelf::Items;

/// What is known of one instance's tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// Whether what is not accepted is held back.
    pub hold: bool,
    /// What was accepted: each tool with its hash.
    pub accepted: Hashes,
    /// What was listed last, where that is something else.
    pub listed: Option<Hashes>,
}

/// The last comparison of each instance.
#[derive(Debug, Default)]
pub(crate) struct Compared(DashMap<InstanceId, Comparison>);

#[derive(Debug)]
struct Comparison {
    items: Weak<Items>,
    pins: Option<Arc<Pins>>,
    held: Arc<HashSet<String>>,
}

impl Comparison {
    fn is_of(&self, items: &Arc<Items>, pins: Option<&Arc<Pins>>) -> bool {
        let same_pins = match (&self.pins, pins) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_pins && std::ptr::eq(self.items.as_ptr(), Arc::as_ptr(items))
    }
}

/// Compares what an instance lists; gives the tools that agents are not to see.
pub(crate) fn compare(
    core: &Arc<Core>,
    route: &InstanceRoute,
    listed: &Listed,
) -> Arc<HashSet<String>> {
    let pins = core.routes.load().pins.get(&route.id).cloned();
    let items = listed.shared();
    if let Some(known) = core.compared.0.get(&route.id)
        && known.is_of(items, pins.as_ref())
    {
        return Arc::clone(&known.held);
    }
    let tools: Vec<Value> = values(listed.items());
    let mut hashes = Hashes::new();
    for tool in &tools {
        if let Some(name) = tool["name"].as_str() {
            hashes.entry(name.to_owned()).or_insert_with(|| hash(tool));
        }
    }
    let mut held = HashSet::new();
    if let Some(pins) = pins.as_ref().filter(|pins| pins.hold) {
        let new = hashes
            .iter()
            .filter(|(name, hash)| pins.accepted.get(*name) != Some(hash));
        held.extend(new.map(|(name, _)| name.clone()));
    }
    let held = Arc::new(held);
    let is_known = pins
        .as_ref()
        .is_some_and(|pins| hashes == *pins.listed.as_ref().unwrap_or(&pins.accepted));
    core.compared.0.insert(
        route.id,
        Comparison {
            items: Arc::downgrade(items),
            pins,
            held: Arc::clone(&held),
        },
    );
    if !is_known {
        let (core, id) = (core.clone(), route.id);
        core.farewells.clone().spawn(async move {
            if let Err(error) = core.waker.listed(id, tools).await {
                tracing::warn!(instance = %id, error, "what a server lists could not be written down");
                core.compared.0.remove(&id);
            }
        });
    }
    held
}

/// Whether a tool was held back when it was last listed.
pub(crate) fn is_held(core: &Core, instance: InstanceId, tool: &str) -> bool {
    let known = core.compared.0.get(&instance);
    known.is_some_and(|known| known.held.contains(tool))
}

fn values(items: &[ListItem]) -> Vec<Value> {
    items
        .iter()
        .filter_map(|item| item.raw().to::<Value>().ok())
        .collect()
}
