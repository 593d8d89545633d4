//! What the machine as a whole uses.

use std::path::PathBuf;

use agentopia_domain::metrics::Usage;

use super::proc;
use crate::disk;

/// Measures the machine.
#[derive(Debug)]
pub(super) struct HostMeter {
    store: PathBuf,
    cpu: Option<proc::Cpu>,
    processors: u64,
}

impl HostMeter {
    pub(super) fn new(store: PathBuf) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            store,
            cpu: None,
            processors: processors as u64,
        }
    }

    /// `None` for the first time, which has nothing to compare with, and where `/proc` is closed.
    pub(super) fn measure(&mut self) -> Option<Usage> {
        let read = |path| std::fs::read_to_string(path).ok();
        let cpu = proc::cpu(&read("/proc/stat")?)?;
        let before = self.cpu.replace(cpu)?;
        let memory = proc::memory(&read("/proc/meminfo")?)?;
        let (rx, tx) = proc::network(&read("/proc/net/dev").unwrap_or_default());
        let space = disk::space(&self.store).ok();
        Some(Usage {
            cpu_millis: cpu.millis_since(before, self.processors),
            memory_bytes: memory.total.saturating_sub(memory.available),
            disk_bytes: space.map_or(0, |space| {
                space.total_bytes.saturating_sub(space.free_bytes)
            }),
            network_rx_bytes: rx,
            network_tx_bytes: tx,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_measured() {
        let mut meter = HostMeter::new("/tmp".into());
        assert_eq!(meter.measure(), None, "nothing to compare with");
        let usage = meter.measure().unwrap();
        assert!(usage.memory_bytes > 0 && usage.disk_bytes > 0);
    }
}
