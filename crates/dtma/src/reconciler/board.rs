//! What is observed of every instance, for the heartbeat, the API and who waits for a change.

use std::collections::BTreeMap;

use agentopia_domain::InstanceId;
use agentopia_domain::observed::{ObservedInstance, Phase};
use parking_lot::RwLock;
use tokio::sync::watch;

/// The board.
#[derive(Debug)]
pub struct Board {
    instances: RwLock<BTreeMap<InstanceId, ObservedInstance>>,
    version: watch::Sender<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            instances: RwLock::default(),
            version: watch::Sender::new(0),
        }
    }
}

impl Board {
    /// Puts up what is observed now. Nothing happens if it is there already.
    pub fn show(&self, observed: ObservedInstance) {
        let id = observed.instance_id;
        if self.instances.read().get(&id) == Some(&observed) {
            return;
        }
        tracing::info!(
            instance = %id,
            generation = observed.generation,
            phase = ?observed.phase,
            message = observed.message.as_deref().unwrap_or_default(),
            "observed"
        );
        self.instances.write().insert(id, observed);
        self.touch();
    }

    /// Changes what is observed of one instance, if it is there.
    pub fn change(&self, id: InstanceId, change: impl FnOnce(&mut ObservedInstance)) {
        let Some(mut observed) = self.get(id) else {
            return;
        };
        change(&mut observed);
        self.show(observed);
    }

    /// Says where an instance stands.
    pub fn phase(&self, id: InstanceId, phase: Phase, message: Option<String>) {
        self.change(id, |observed| {
            observed.phase = phase;
            observed.message = message;
        });
    }

    /// Takes an instance down: the control plane knows that it is gone.
    pub fn take_down(&self, id: InstanceId) {
        if self.instances.write().remove(&id).is_some() {
            self.touch();
        }
    }

    /// What is observed of one instance.
    #[must_use]
    pub fn get(&self, id: InstanceId) -> Option<ObservedInstance> {
        self.instances.read().get(&id).cloned()
    }

    /// What is observed of all.
    #[must_use]
    pub fn all(&self) -> Vec<ObservedInstance> {
        self.instances.read().values().cloned().collect()
    }

    /// Changes whenever something on the board does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn touch(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}
