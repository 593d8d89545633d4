//! Heartbeats (DTMA-5): what the machine is, how every instance is, and the measurements that are
//! not stored yet. At the interval that the control plane asks for, and at once when something
//! changes; while it is away they go on trying, and nothing else of the DTMA waits for it.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::observed::ObservedInstance;
use agentopia_dtma_api::to_control_plane::{Heartbeat, HeartbeatReply, MAX_SAMPLES, MachineFacts};
use tokio::time::Instant;

use crate::facts::FactsSource;
use crate::metrics::Samples;
use crate::reconciler::Reconciler;
use crate::reconciler::backoff::jitter;
use crate::update::Updates;

/// Until the control plane asks for another.
const FIRST_INTERVAL: Duration = Duration::from_secs(5);
/// Whatever it asks for.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(300));
/// Changes that come within so much of each other go into one heartbeat.
const GATHER: Duration = Duration::from_millis(100);
/// After a start, instances get so long to be looked at before the first heartbeat tells of them.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// A locked machine asks this often whether it was unlocked.
const LOCKED_INTERVAL: Duration = Duration::from_secs(10);

/// Sends heartbeats.
#[derive(Debug)]
pub struct Heart {
    reconciler: Arc<Reconciler>,
    facts: Arc<FactsSource>,
    samples: Samples,
    updates: Arc<Updates>,
    interval: Duration,
}

impl Heart {
    /// Nothing is sent before [`Self::beat`].
    #[must_use]
    pub fn new(
        reconciler: Arc<Reconciler>,
        facts: Arc<FactsSource>,
        samples: Samples,
        updates: Arc<Updates>,
    ) -> Self {
        Self {
            reconciler,
            facts,
            samples,
            updates,
            interval: FIRST_INTERVAL,
        }
    }

    /// Beats until shutdown.
    pub async fn beat(mut self) {
        let shared = Arc::clone(self.reconciler.shared());
        let mut changes = shared.board.changes();
        self.first_look().await;
        loop {
            changes.mark_unchanged();
            let more = self.once().await;
            let pause = match more {
                Some(true) => BOUNDS.0,
                _ if shared.link.is_locked() => LOCKED_INTERVAL,
                Some(false) => self.interval,
                None => jitter(self.interval, &shared.ambient),
            };
            let change = async {
                // Only while the control plane answers: otherwise every change would be one more
                // attempt at a server that may be struggling.
                if more.is_none() {
                    std::future::pending::<()>().await;
                }
                if changes.changed().await.is_ok() {
                    tokio::time::sleep(GATHER).await;
                }
            };
            tokio::select! {
                () = shared.shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = change => {}
            }
        }
    }

    /// Gives the instances that were running before a restart of the DTMA the time to be taken
    /// over, so that they don't show as gone for a moment.
    async fn first_look(&self) {
        let shared = self.reconciler.shared();
        let mut changes = shared.board.changes();
        let looked_at = async {
            while shared.board.all().iter().any(is_unsettled) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = shared.shutdown.cancelled() => {}
            _ = tokio::time::timeout(FIRST_LOOK, looked_at) => {}
        }
    }

    /// One heartbeat. `None` if it did not get through; otherwise whether more measurements wait.
    async fn once(&mut self) -> Option<bool> {
        let shared = self.reconciler.shared();
        let beat = Heartbeat {
            machine: self.machine().await,
            instances: shared.board.all(),
            samples: self.samples.lock().batch(Instant::now()),
            update: self.updates.report(),
        };
        let sent = beat.samples.len();
        let outcome = shared.link.client().heartbeat(&beat).await;
        shared.link.learn(outcome.as_ref().err());
        match outcome {
            Ok(mut reply) => {
                let offer = reply.update.take();
                self.updates.heard(beat.update.as_ref(), offer);
                self.take(&reply).await;
                Some(sent == MAX_SAMPLES && !self.samples.lock().is_empty())
            }
            Err(error) => {
                tracing::warn!(%error, "the control plane did not take the heartbeat; tools go on");
                None
            }
        }
    }

    async fn machine(&self) -> MachineFacts {
        let runtime = &self.reconciler.shared().runtime;
        MachineFacts {
            dtma_sha256: self.updates.own(),
            ..self.facts.machine(runtime.kind(), runtime.facts().await)
        }
    }

    async fn take(&mut self, reply: &HeartbeatReply) {
        if let Some(up_to) = reply.stored_up_to {
            self.samples.lock().stored(up_to);
        }
        let interval = Duration::from_secs(reply.interval_seconds.into());
        self.interval = interval.clamp(BOUNDS.0, BOUNDS.1);
        self.reconciler.drop_unknown(&reply.unknown_instances).await;
    }
}

fn is_unsettled(observed: &ObservedInstance) -> bool {
    use agentopia_domain::observed::Phase;
    matches!(observed.phase, Phase::Pending | Phase::Starting)
}
