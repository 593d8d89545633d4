//! What a machine reports of its instances. The control plane never guesses; it believes this.

use serde::{Deserialize, Serialize};

use crate::ids::InstanceId;
use crate::instance::RuntimeDetails;

/// What a machine is doing with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Accepted; nothing was done yet.
    Pending,
    /// The image is being fetched.
    Pulling,
    /// Waiting for the control plane to hand out secrets.
    WaitingForSecrets,
    /// Made, not answering MCP yet.
    Starting,
    /// Answers MCP.
    Running,
    /// Went away; waiting for the next try.
    Backoff,
    /// Does not come up: too many tries, or an error that no retry can cure. The machine goes on
    /// trying at the longest interval where a retry can help.
    Failed,
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
    /// Being taken away.
    Removing,
    /// Nothing of it is left.
    Removed,
}

/// The observed state of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedInstance {
    /// Which instance.
    pub instance_id: InstanceId,
    /// The generation of the spec that this describes.
    pub generation: i64,
    /// What is being done.
    pub phase: Phase,
    /// What a person should know: progress, or the error with the last lines of stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The version that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_version: Option<String>,
    /// Where and as what it runs.
    #[serde(default)]
    pub runtime: RuntimeDetails,
}
