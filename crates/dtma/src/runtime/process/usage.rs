//! What an instance's processes use, added up over their groups.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use agentopia_domain::InstanceId;
use agentopia_domain::metrics::Usage;
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metrics::proc::{self, ticks_to_millis};

/// The readings before, to tell processor use from.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<HashMap<InstanceId, (u64, Instant)>>);

impl Readings {
    pub(super) fn forget(&self, id: InstanceId) {
        self.0.lock().remove(&id);
    }

    pub(super) async fn measure(
        &self,
        id: InstanceId,
        groups: Vec<Pid>,
        volume: PathBuf,
    ) -> Option<Usage> {
        let measured = tokio::task::spawn_blocking(move || {
            let groups: Vec<i32> = groups.into_iter().map(Pid::as_raw).collect();
            (proc::groups(&groups), size(&volume))
        });
        let ((ticks, memory_bytes), disk_bytes) = measured.await.ok()?;
        let now = Instant::now();
        let before = self.0.lock().insert(id, (ticks, now));
        let cpu_millis = before.map_or(0, |(before, at)| {
            ticks_to_millis(ticks.saturating_sub(before), now - at)
        });
        Some(Usage {
            cpu_millis,
            memory_bytes,
            disk_bytes,
            // Processes share the machine's network: there is nothing to tell apart.
            network_rx_bytes: 0,
            network_tx_bytes: 0,
        })
    }
}

/// The bytes of all files below a directory; links are not followed.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), std::fs::symlink_metadata(entry.path()).ok()?)))
        .map(|(path, meta)| {
            if meta.is_dir() {
                size(&path)
            } else {
                meta.len()
            }
        })
        .sum()
}
