//! The tools of one machine: what its management agent keeps on its disk of each, and how each gets
//! from what it is to what is wanted, a step at a time. The real one has containers behind that
//! (`crates/dtma`); here there is only time.

use std::collections::BTreeMap;

use agentopia_domain::InstanceId;
use agentopia_domain::instance::{DesiredInstance, RuntimeDetails};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_dtma_api::problem::Problem;
use agentopia_dtma_api::to_dtma::InstanceSpec;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The first port that a machine gives to a tool.
const FIRST_PORT: u16 = 30_000;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Tools {
    tools: Mutex<BTreeMap<InstanceId, Tool>>,
    /// For those who wait for a change. Not a `watch`, which wakes them in an order by chance.
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Tool {
    generation: i64,
    desired: DesiredInstance,
    version: String,
    /// Whether it has a port of the machine while it runs.
    publishes: bool,
    /// Which one it has or had the last time.
    port: Option<u16>,
    phase: Phase,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            tools: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl Tools {
    /// Takes a desired state over.
    ///
    /// # Errors
    /// When a newer one is known.
    pub(crate) fn put(&self, spec: &InstanceSpec) -> Result<ObservedInstance, Problem> {
        let mut tools = self.tools.lock();
        let new = Tool {
            generation: spec.generation,
            desired: spec.desired,
            version: spec.version.clone(),
            publishes: spec.direct_access.is_some(),
            port: None,
            phase: Phase::Pending,
        };
        let tool = tools.entry(spec.instance_id).or_insert(new.clone());
        if spec.generation < tool.generation {
            return Err(stale(tool.generation));
        }
        let same = (spec.generation, spec.desired) == (tool.generation, tool.desired);
        if !same {
            let (phase, port) = (tool.phase, tool.port);
            *tool = Tool { phase, port, ..new };
            tool.begin();
        }
        let observed = tool.observed(spec.instance_id);
        drop(tools);
        self.tell();
        Ok(observed)
    }

    /// Takes off whatever the control plane does not know.
    pub(crate) fn remove(&self, unknown: &[InstanceId]) {
        let mut tools = self.tools.lock();
        for id in unknown {
            if let Some(tool) = tools.get_mut(id) {
                tool.desired = DesiredInstance::Removed { purge_data: false };
                tool.begin();
            }
        }
        drop(tools);
        self.tell();
    }

    /// The machine has power again: what ran has to be started.
    pub(crate) fn boot(&self) {
        for tool in self.tools.lock().values_mut() {
            tool.begin();
        }
        self.tell();
    }

    /// Takes each tool that is not as it is wanted one step further; whether there was one.
    pub(crate) fn step(&self) -> bool {
        let mut stepped = false;
        let mut tools = self.tools.lock();
        let taken = tools.values().filter_map(|tool| tool.port).max();
        let mut next = taken.map_or(FIRST_PORT, |port| port + 1);
        for tool in tools.values_mut() {
            stepped |= tool.step(&mut next);
        }
        drop(tools);
        if stepped {
            self.tell();
        }
        stepped
    }

    pub(crate) fn one(&self, id: InstanceId) -> Option<ObservedInstance> {
        let tools = self.tools.lock();
        tools.get(&id).map(|tool| tool.observed(id))
    }

    pub(crate) fn all(&self) -> Vec<ObservedInstance> {
        let tools = self.tools.lock();
        tools.iter().map(|(id, tool)| tool.observed(*id)).collect()
    }

    /// Waits for the next change from now on, also before it is polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn tell(&self) {
        self.changed.notify_waiters();
    }
}

impl Tool {
    /// Whatever it was doing, it now goes for what is wanted.
    fn begin(&mut self) {
        self.phase = match (self.desired, self.phase) {
            (DesiredInstance::Running, _) => Phase::Pending,
            (_, Phase::Removed) => Phase::Removed,
            (DesiredInstance::Stopped, _) => Phase::Stopping,
            (DesiredInstance::Removed { .. }, _) => Phase::Removing,
        };
    }

    /// `port` is the next one that is free; every start takes another one.
    fn step(&mut self, port: &mut u16) -> bool {
        let next = match (self.desired, self.phase) {
            (DesiredInstance::Running, Phase::Pending) => Phase::Pulling,
            (DesiredInstance::Running, Phase::Pulling) => Phase::Starting,
            (DesiredInstance::Running, Phase::Starting) => Phase::Running,
            (DesiredInstance::Stopped, Phase::Stopping | Phase::Pending) => Phase::Stopped,
            (DesiredInstance::Removed { .. }, Phase::Removing | Phase::Pending) => Phase::Removed,
            _ => return false,
        };
        if next == Phase::Running {
            self.port = self.publishes.then_some(*port);
            *port += 1;
        }
        self.phase = next;
        true
    }

    fn observed(&self, id: InstanceId) -> ObservedInstance {
        let runs = self.phase == Phase::Running;
        ObservedInstance {
            instance_id: id,
            generation: self.generation,
            phase: self.phase,
            message: None,
            running_version: runs.then(|| self.version.clone()),
            runtime: RuntimeDetails {
                port: self.port.filter(|_| runs),
                ..RuntimeDetails::default()
            },
        }
    }
}

fn stale(newer: i64) -> Problem {
    Problem {
        status: 409,
        code: "stale_generation".to_owned(),
        title: "Stale generation".to_owned(),
        detail: format!("generation {newer} is known"),
    }
}
