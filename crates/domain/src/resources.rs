//! What an instance may use of its machine.

use serde::{Deserialize, Serialize};

/// Limits of one instance. They are what admission adds up, and what the runtime enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes of memory; swap is not granted on top.
    pub memory_bytes: u64,
    /// Processes and threads (security.md: at most 256 unless a catalog entry says otherwise).
    #[serde(default = "default_pids")]
    pub pids: u32,
    /// Bytes on disk that the instance's volume is expected to need; 0 for none.
    #[serde(default)]
    pub disk_bytes: u64,
}

const fn default_pids() -> u32 {
    256
}

impl Default for Resources {
    /// Half a processor, 256 MiB, 256 processes, no disk.
    fn default() -> Self {
        Self {
            cpu_millis: 500,
            memory_bytes: 256 << 20,
            pids: 256,
            disk_bytes: 0,
        }
    }
}

impl Resources {
    /// Of what runs elsewhere.
    pub const NONE: Self = Self {
        cpu_millis: 0,
        memory_bytes: 0,
        pids: 0,
        disk_bytes: 0,
    };
}

/// What a machine has in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capacity {
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of the disk that holds images and volumes.
    pub disk_bytes: u64,
}
