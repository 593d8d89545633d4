//! What the machine and its instances use (DTMA-5): measured every ten seconds, kept while the
//! control plane is away ([`buffer`]), sent with the heartbeats.

mod buffer;
mod host;
pub mod proc;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::observed::Phase;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior};

use crate::reconciler::Shared;
pub use buffer::{Buffer, Measurement};
use host::HostMeter;

/// Between two measurements.
const INTERVAL: Duration = Duration::from_secs(10);

/// The measurements that the control plane has not stored yet.
pub type Samples = Arc<Mutex<Buffer>>;

/// Measures until shutdown. `store` is the directory of images and volumes.
pub async fn keep_measured(shared: Arc<Shared>, samples: Samples, store: PathBuf) {
    let mut host = HostMeter::new(store);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(usage) = host.measure() else {
            continue;
        };
        let mut instances = Vec::new();
        for observed in shared.board.all() {
            if observed.phase == Phase::Running
                && let Some(usage) = shared.runtime.usage(observed.instance_id).await
            {
                instances.push((observed.instance_id, usage));
            }
        }
        samples.lock().push(Measurement {
            at: Instant::now(),
            host: usage,
            instances,
        });
    }
}
