//! Instances that sleep (TOOL-9): who uses what, so that nothing in use is stopped; and a call to one
//! that is asleep, which wakes it and waits until it runs.
//!
//! `uses` notes use without a lock or a look at the clock in the way of a call. `wakes` has one wake
//! under way for each instance, however many calls wait for it. `kept` is what was last listed, so
//! that a list neither wakes a server nor lacks what it offers.

pub(crate) mod kept;
pub(crate) mod uses;
pub(crate) mod wakes;

use agentopia_domain::InstanceId;
use async_trait::async_trait;

/// The seam to whoever stops and starts instances.
#[async_trait]
pub trait Waker: Send + Sync + 'static {
    /// These are being used, or were since the last time: the idle time of each begins now. Called
    /// at once when one is used after a pause, and every
    /// [`crate::GatewayConfig::use_interval`] for all others; never in the way of a call.
    ///
    /// One of them may have been put to sleep a moment ago: the implementation wakes it.
    ///
    /// # Errors
    /// Why it could not be written down, for the log; they are named again with the next time.
    async fn used(&self, instances: &[InstanceId]) -> Result<(), String>;

    /// Has an instance that is asleep started, and returns when that is decided; one that is not
    /// asleep is left as it is. That it runs is told by the next [`crate::Snapshot`].
    ///
    /// # Errors
    /// Why it can't be started, for people.
    async fn wake(&self, instance: InstanceId) -> Result<(), String>;

    /// An instance lists these tools, which is not what the last [`crate::Snapshot`] knows of it. Never in the way
    /// of a list or a call.
    ///
    /// # Errors
    /// Why it could not be written down, for the log; it is told again with the next list.
    async fn listed(
        &self,
        _instance: InstanceId,
        _tools: Vec<serde_json::Value>,
    ) -> Result<(), String> {
        Ok(())
    }
}

/// For gateways in front of servers that never sleep.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSleep;

#[async_trait]
impl Waker for NoSleep {
    async fn used(&self, _instances: &[InstanceId]) -> Result<(), String> {
        Ok(())
    }

    async fn wake(&self, _instance: InstanceId) -> Result<(), String> {
        Err("nobody here can start it".to_owned())
    }
}
