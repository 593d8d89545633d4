//! What instances that may sleep listed last when the product itself asked. Discovery takes it from here
//! while one sleeps: it neither waits for it nor wakes it, as an agent's own list doesn't (TOOL-9).
//!
//! In memory: after a start of the control plane an instance is woken once for its list.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use agentopia_domain::instance::{Instance, InstanceStatus as S};
use agentopia_domain::{InstanceId, LinkId, SecretId};
use agentopia_dtma_api::to_dtma::OwnCredentials;
use parking_lot::Mutex;
use rmcp::model::Tool;
use rmcp::serde_json::{Map, Value};

/// So many are kept; with more, all are asked for anew.
const MOST: usize = 10_000;

/// What a server said of itself.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) tools: Vec<Tool>,
    pub(super) capabilities: Value,
}

/// What it was when it said so: with anything else it may say something else.
#[derive(Debug, PartialEq)]
struct Was {
    version: String,
    config: Map<String, Value>,
    secrets: BTreeMap<String, SecretId>,
    /// Which secrets of its own the link carried.
    revision: Option<String>,
}

type Whose = (InstanceId, Option<LinkId>);

/// See the module's header.
#[derive(Debug, Default)]
pub struct LastLists(Mutex<HashMap<Whose, (Was, Arc<Told>)>>);

/// Whether an instance rests, or is on its way back, so that asking it takes as long as its start.
pub(super) fn rests(instance: &Instance) -> bool {
    instance.idle_limit().is_some()
        && matches!(instance.status, S::Asleep | S::PendingStart | S::Starting)
}

impl LastLists {
    pub(super) fn keep(&self, instance: &Instance, own: Option<&OwnCredentials>, told: Arc<Told>) {
        if instance.idle_limit().is_none() {
            return;
        }
        let (whose, was) = of(instance, own);
        let mut kept = self.0.lock();
        if kept.len() >= MOST && !kept.contains_key(&whose) {
            kept.clear();
        }
        kept.insert(whose, (was, told));
    }

    pub(super) fn get(
        &self,
        instance: &Instance,
        own: Option<&OwnCredentials>,
    ) -> Option<Arc<Told>> {
        let (whose, now) = of(instance, own);
        let kept = self.0.lock();
        let (was, told) = kept.get(&whose)?;
        (*was == now).then(|| told.clone())
    }
}

fn of(instance: &Instance, own: Option<&OwnCredentials>) -> (Whose, Was) {
    let was = Was {
        version: instance.version.clone(),
        config: instance.config.clone(),
        secrets: instance.secrets.clone(),
        revision: own.map(|own| own.revision.clone()),
    };
    ((instance.id, own.map(|own| own.link)), was)
}
