//! What this machine is: reported at enrolment and with every heartbeat (DTMA-5).

use std::path::{Path, PathBuf};

use agentopia_domain::Ambient;
use agentopia_domain::resources::Capacity;
use agentopia_dtma_api::to_control_plane::MachineFacts;

use crate::disk;
use crate::runtime::{RuntimeFacts, RuntimeKind};

/// Gathers facts. What can't change while the DTMA runs is read once.
#[derive(Debug)]
pub struct FactsSource {
    boot_id: String,
    port: u16,
    machine_id: Option<String>,
    data_dir: PathBuf,
    kernel: Option<String>,
}

impl FactsSource {
    /// For a DTMA that listens on `port` and keeps its state in `data_dir`.
    #[must_use]
    pub fn new(ambient: &Ambient, port: u16, machine_id: Option<String>, data_dir: &Path) -> Self {
        Self {
            boot_id: boot_id(ambient),
            port,
            machine_id,
            data_dir: data_dir.to_owned(),
            kernel: read_line("/proc/sys/kernel/osrelease"),
        }
    }

    /// This boot of the machine and this start of the DTMA.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The facts now.
    #[must_use]
    pub fn machine(&self, kind: RuntimeKind, runtime: RuntimeFacts) -> MachineFacts {
        let mut versions = runtime.versions;
        if let Some(kernel) = &self.kernel {
            versions.insert("kernel".to_owned(), kernel.clone());
        }
        let store = runtime.store.unwrap_or_else(|| self.data_dir.clone());
        MachineFacts {
            dtma_version: env!("CARGO_PKG_VERSION").to_owned(),
            // Takes a moment to compute: heartbeats have it once it is there.
            dtma_sha256: None,
            boot_id: self.boot_id.clone(),
            port: self.port,
            machine_id: self.machine_id.clone(),
            runtime: kind.as_str().to_owned(),
            versions,
            capacity: runtime.capacity.unwrap_or_else(|| capacity(&store)),
        }
    }
}

/// Processors, memory and the disk of `store`.
fn capacity(store: &Path) -> Capacity {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Capacity {
        cpu_millis: u32::try_from(processors).unwrap_or(1).saturating_mul(1000),
        memory_bytes: crate::metrics::proc::memory(&memory).map_or(0, |memory| memory.total),
        disk_bytes: disk::space(store).map_or(0, |space| space.total_bytes),
    }
}

/// The kernel's boot id and eight random digits for this start.
fn boot_id(ambient: &Ambient) -> String {
    let boot = read_line("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{boot}+{}", hex::encode(ambient.random::<4>()))
}

fn read_line(path: &str) -> Option<String> {
    let content = std::fs::read_to_string(path).ok()?;
    Some(content.lines().next()?.to_owned())
}
