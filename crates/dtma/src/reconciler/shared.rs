//! What all instances' tasks share.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::history::Instant;
use crate::disk::DiskGuard;
use crate::identity::Link;
use crate::ledger::Ledger;
use crate::mcp::DataPath;
use crate::runtime::Runtime;

/// So many instances are prepared and started at the same time: after a reboot a small machine
/// would otherwise start everything at once and nothing in time.
const CONCURRENT_STARTS: usize = 4;

/// What can be set.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a tool may take until it answers MCP.
    pub health_timeout: Duration,
    /// How long a tool gets between TERM and KILL.
    pub stop_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            health_timeout: Duration::from_secs(60),
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Shared {
    /// What runs tools.
    pub runtime: Arc<dyn Runtime>,
    /// What is wanted.
    pub ledger: Arc<Ledger>,
    /// What is observed.
    pub board: Board,
    /// The control plane.
    pub link: Arc<Link>,
    /// The MCP data path, whose sessions end with their tool.
    pub data_path: Arc<DataPath>,
    /// Time and randomness.
    pub ambient: Ambient,
    /// The disk.
    pub disk: DiskGuard,
    /// What can be set.
    pub limits: Limits,
    /// Ends everything.
    pub shutdown: CancellationToken,
    pub(super) starts: Semaphore,
    /// Held for writing while an orphan is being removed, for reading while a spec is taken: so a
    /// spec never finds its instance half swept away.
    pub(super) sweeping: RwLock<()>,
    began: tokio::time::Instant,
}

impl Shared {
    /// Puts it together.
    #[expect(clippy::too_many_arguments, reason = "called once, by the wiring")]
    #[must_use]
    pub fn new(
        runtime: Arc<dyn Runtime>,
        ledger: Arc<Ledger>,
        link: Arc<Link>,
        data_path: Arc<DataPath>,
        ambient: Ambient,
        disk: DiskGuard,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            ledger,
            board: Board::default(),
            link,
            data_path,
            ambient,
            disk,
            limits,
            shutdown,
            starts: Semaphore::new(CONCURRENT_STARTS),
            sweeping: RwLock::new(()),
            began: tokio::time::Instant::now(),
        })
    }

    /// Monotonic time since the beginning.
    pub(super) fn now(&self) -> Instant {
        self.began.elapsed()
    }

    pub(super) async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep_until(self.began + at).await;
    }
}
