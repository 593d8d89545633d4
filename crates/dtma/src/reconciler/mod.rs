//! Converges the machine to the ledger (architecture, decision 2).
//!
//! One task an instance ([`task`]): it reads what is wanted, asks the runtime what is there, asks
//! [`plan`] for the next step, does it, and begins again; then it rests until something changes.
//! It takes no input but the instance's id, wakes on a signal and on a timer, and can be killed
//! between any two steps: the next run goes on from what it finds. [`history`] says when a failing
//! tool is tried again, [`board`] shows what is observed, [`orphans`] removes what nobody wants.

pub mod backoff;
pub mod board;
mod history;
mod orphans;
mod plan;
mod redact;
mod secrets;
mod shared;
mod task;

use std::collections::HashMap;
use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_domain::instance::{DesiredInstance, RuntimeDetails};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::spec::InstanceSpec;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio_util::task::TaskTracker;

use crate::ledger::{Entry, LedgerError};
pub use shared::{Limits, Shared};
use task::Task;

/// Drives every instance of this machine.
#[derive(Debug)]
pub struct Reconciler {
    shared: Arc<Shared>,
    tasks: Mutex<HashMap<InstanceId, Arc<Notify>>>,
    tracker: TaskTracker,
}

impl Reconciler {
    /// Begins with what the ledger has: a task for each instance, and the sweep of orphans.
    #[must_use]
    pub fn begin(shared: Arc<Shared>) -> Arc<Self> {
        let reconciler = Arc::new(Self {
            shared,
            tasks: Mutex::default(),
            tracker: TaskTracker::new(),
        });
        for (id, entry) in reconciler.shared.ledger.all() {
            match entry {
                Entry::Wanted(spec) => reconciler.wake(id, &spec),
                Entry::Removed(tombstone) => {
                    reconciler.shared.board.show(gone(id, tombstone.generation));
                }
            }
        }
        reconciler.spawn(Arc::clone(&reconciler).listen());
        reconciler.spawn(orphans::keep_swept(Arc::clone(&reconciler.shared)));
        reconciler
    }

    /// Takes a spec and begins to converge. Returns what is observed now.
    ///
    /// # Errors
    /// When it is older than what is known, or can't be stored; nothing has changed then.
    pub async fn put(
        self: &Arc<Self>,
        spec: InstanceSpec,
    ) -> Result<ObservedInstance, LedgerError> {
        let _not_swept = self.shared.sweeping.read().await;
        let id = spec.instance_id;
        let again = matches!(
            (spec.desired, self.shared.ledger.get(id)),
            (DesiredInstance::Removed { purge_data }, Some(Entry::Removed(tombstone)))
                if tombstone.generation == spec.generation && (tombstone.purged || !purge_data)
        );
        if !again {
            self.shared.ledger.put(spec.clone()).await?;
            self.wake(id, &spec);
        }
        let observed = self.shared.board.get(id);
        Ok(observed.unwrap_or_else(|| gone(id, spec.generation)))
    }

    /// Removes what the control plane does not know (any more); volumes stay.
    pub async fn drop_unknown(self: &Arc<Self>, unknown: &[InstanceId]) {
        for id in unknown {
            match self.shared.ledger.get(*id) {
                Some(Entry::Wanted(mut spec)) => {
                    if matches!(spec.desired, DesiredInstance::Removed { .. }) {
                        continue;
                    }
                    tracing::warn!(
                        instance = %id,
                        "the control plane does not know this instance (any more): removing it, keeping its volume"
                    );
                    spec.desired = DesiredInstance::Removed { purge_data: false };
                    if let Err(error) = self.put(*spec).await {
                        tracing::error!(instance = %id, %error, "it can't be removed now");
                    }
                }
                Some(Entry::Removed(_)) | None => self.shared.board.take_down(*id),
            }
        }
    }

    /// Shared with the server, the heartbeat and the data path.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits for the tasks to end after the shutdown token was cancelled.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Makes sure that the instance has a task and that it looks again.
    fn wake(self: &Arc<Self>, id: InstanceId, spec: &InstanceSpec) {
        let mut tasks = self.tasks.lock();
        if let Some(wake) = tasks.get(&id) {
            task::announce(&self.shared, spec);
            wake.notify_one();
            return;
        }
        let wake = Arc::new(Notify::new());
        tasks.insert(id, Arc::clone(&wake));
        drop(tasks);
        task::announce(&self.shared, spec);
        let reconciler = Arc::clone(self);
        self.spawn(async move {
            // One round ends with the instance gone; a spec that came in meanwhile begins another.
            loop {
                Task::new(Arc::clone(&reconciler.shared), id, Arc::clone(&wake))
                    .run()
                    .await;
                let mut tasks = reconciler.tasks.lock();
                if reconciler.shared.ledger.spec(id).is_none()
                    || reconciler.shared.shutdown.is_cancelled()
                {
                    tasks.remove(&id);
                    return;
                }
            }
        });
    }

    /// Passes hints on to the tasks: a tool went away, or the machine was locked or unlocked.
    async fn listen(self: Arc<Self>) {
        let mut exits = self.shared.runtime.exits();
        let mut standing = self.shared.link.standing();
        loop {
            tokio::select! {
                () = self.shared.shutdown.cancelled() => return,
                exit = exits.recv() => match exit {
                    Ok(id) => {
                        if let Some(wake) = self.tasks.lock().get(&id) {
                            wake.notify_one();
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => self.wake_all(),
                    Err(broadcast::error::RecvError::Closed) => {
                        self.shared.shutdown.cancelled().await;
                        return;
                    }
                },
                _ = standing.changed() => self.wake_all(),
            }
        }
    }

    fn wake_all(&self) {
        for wake in self.tasks.lock().values() {
            wake.notify_one();
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }
}

/// An instance of which nothing is left.
fn gone(id: InstanceId, generation: i64) -> ObservedInstance {
    ObservedInstance {
        instance_id: id,
        generation,
        phase: Phase::Removed,
        message: None,
        running_version: None,
        runtime: RuntimeDetails::default(),
    }
}
