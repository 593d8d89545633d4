//! Measured use of a machine and of its instances (DTMA-5).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::InstanceId;

/// One measurement of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Thousandths of a processor, averaged since the sample before.
    pub cpu_millis: u32,
    /// Bytes of memory in use, caches that can be dropped not counted.
    pub memory_bytes: u64,
    /// Bytes in use on the disk that holds images and volumes; for an instance, of its volume.
    pub disk_bytes: u64,
    /// Bytes received since the subject started.
    pub network_rx_bytes: u64,
    /// Bytes sent since the subject started.
    pub network_tx_bytes: u64,
}

/// The use of a machine and its instances at one moment of the machine's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Grows by one with each sample of a machine's boot; with the boot id it names the sample, so
    /// that one which is sent twice is stored once.
    pub sequence: u64,
    /// How long before the sending it was taken, in milliseconds: an age, because the clocks of two
    /// machines are never compared.
    pub age_ms: u64,
    /// The machine.
    pub host: Usage,
    /// Each running instance.
    pub instances: Vec<(InstanceId, Usage)>,
}

/// A stored measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredUsage {
    /// When, by the control plane's clock.
    pub at: DateTime<Utc>,
    /// `None` for the machine itself.
    pub instance_id: Option<InstanceId>,
    /// What was measured.
    pub usage: Usage,
}
