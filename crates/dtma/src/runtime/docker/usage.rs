//! What a container uses of the machine.

use std::path::PathBuf;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::metrics::Usage;
use bollard::models::{ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptions;
use futures::StreamExt as _;
use tokio::time::Instant;

use super::volume::disk_use;
use super::{DockerRuntime, names};

/// The size of a volume is counted so often at most: it means a walk over its files.
const DISK_EVERY: Duration = Duration::from_secs(300);
/// Files that are counted at most.
const DISK_FILES: usize = 100_000;

/// What was read last, to make differences from.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuReading {
    at: Instant,
    nanoseconds: u64,
    disk_at: Option<Instant>,
    disk_bytes: u64,
}

impl DockerRuntime {
    pub(super) async fn measure(&self, id: InstanceId) -> Option<Usage> {
        let options = StatsOptions {
            stream: false,
            one_shot: true,
        };
        let name = names::object(id);
        let stats = std::pin::pin!(self.docker.stats(&name, Some(options)))
            .next()
            .await?
            .ok()?;
        let nanoseconds = stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage?;
        let before = self.cpu.get(&id).map(|reading| *reading);
        let now = Instant::now();
        let mut reading = CpuReading {
            at: now,
            nanoseconds,
            disk_at: before.and_then(|before| before.disk_at),
            disk_bytes: before.map_or(0, |before| before.disk_bytes),
        };
        if reading.disk_at.is_none_or(|at| now - at >= DISK_EVERY) {
            reading.disk_at = Some(now);
            reading.disk_bytes = self.volume_bytes(id).await;
        }
        self.cpu.insert(id, reading);
        let (received, sent) = network(&stats);
        Some(Usage {
            cpu_millis: before.map_or(0, |before| {
                cpu_millis(
                    nanoseconds.saturating_sub(before.nanoseconds),
                    now - before.at,
                )
            }),
            memory_bytes: stats.memory_stats.as_ref().map_or(0, memory),
            disk_bytes: reading.disk_bytes,
            network_rx_bytes: received,
            network_tx_bytes: sent,
        })
    }

    async fn volume_bytes(&self, id: InstanceId) -> u64 {
        let Ok(Some(volume)) = self.volume(id).await else {
            return 0;
        };
        let path = PathBuf::from(volume.mountpoint);
        tokio::task::spawn_blocking(move || disk_use(&path, DISK_FILES))
            .await
            .unwrap_or(0)
    }
}

/// Thousandths of a processor over a span of time.
fn cpu_millis(used_nanoseconds: u64, span: Duration) -> u32 {
    let span = span.as_nanos().max(1);
    u32::try_from(u128::from(used_nanoseconds) * 1000 / span).unwrap_or(u32::MAX)
}

/// Memory in use less the file cache that the kernel drops first; the name of that differs between
/// the two versions of cgroups.
fn memory(stats: &ContainerMemoryStats) -> u64 {
    let details = stats.stats.as_ref();
    let cache = details
        .and_then(|details| {
            details
                .get("total_inactive_file")
                .or_else(|| details.get("inactive_file"))
        })
        .copied()
        .unwrap_or(0);
    stats.usage.unwrap_or(0).saturating_sub(cache)
}

fn network(stats: &ContainerStatsResponse) -> (u64, u64) {
    stats
        .networks
        .iter()
        .flat_map(std::collections::HashMap::values)
        .fold((0, 0), |(received, sent), one| {
            (
                received + one.rx_bytes.unwrap_or(0),
                sent + one.tx_bytes.unwrap_or(0),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn half_a_processor_for_two_seconds_is_five_hundred() {
        assert_eq!(cpu_millis(1_000_000_000, Duration::from_secs(2)), 500);
        assert_eq!(cpu_millis(5, Duration::ZERO), 5000);
    }

    #[test]
    fn cache_that_can_be_dropped_does_not_count_as_memory() {
        let stats = |name: &str| ContainerMemoryStats {
            usage: Some(100),
            stats: Some(HashMap::from([(name.to_owned(), 30)])),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(memory(&stats("total_inactive_file")), 70);
        assert_eq!(memory(&stats("inactive_file")), 70);
        assert_eq!(memory(&stats("something_else")), 100);
    }
}
