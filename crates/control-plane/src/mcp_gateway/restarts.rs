//! Waiting for a machine's agent, or a tool on it, that is just being restarted (AGT-5).

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::EnvironmentId;
use agentopia_store::LeaseKind;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use crate::machines::Connections;
use crate::reconcilers::Bells;

/// How long something that is being restarted is waited for. A killed DTMA is back, with its tools
/// adopted, after a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// See the module's header.
#[derive(Debug, Clone)]
pub struct Restarts {
    /// The clients of all machines.
    pub connections: Arc<Connections>,
    /// Told when a machine does not listen.
    pub bells: Bells,
}

impl Restarts {
    /// The pauses between attempts; no more attempts when they end.
    pub(super) fn pauses() -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_total_delay(Some(PATIENCE))
            .without_max_times()
            .build()
    }

    /// Has the environment's reconciler look at a machine that does not listen now, and not with
    /// its next round.
    pub(super) async fn look_after(&self, environment: EnvironmentId) {
        let id = environment.as_uuid();
        let leases = self.connections.store().leases();
        if let Err(error) = leases.wake(LeaseKind::Environment, id).await {
            tracing::warn!(%error, "the reconciler could not be told of a machine that is away");
        }
        self.bells.environments.ring(id);
    }
}
