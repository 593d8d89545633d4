//! What is kept of every call that an agent or a person made through the gateway (AGT-8).
//!
//! Who called what, when, for how long, and how it ended; arguments and results only where the account's owner
//! wants them kept, and only what [`crate::redact`] lets through.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, AgentId, InstanceId, UserId};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it came in.
    pub at: DateTime<Utc>,
    /// Whose agent or instance.
    pub account_id: AccountId,
    /// The agent, unless a person called.
    pub agent_id: Option<AgentId>,
    /// The person, unless an agent called.
    pub user_id: Option<UserId>,
    /// The instance that answered or should have.
    pub instance_id: InstanceId,
    /// The MCP method: `tools/call`, `prompts/get` or `resources/read`.
    pub method: String,
    /// The server's own name of the tool or prompt, or the resource's URI; cut at 256 bytes.
    pub target: String,
    /// The trace that it belongs to (W3C Trace Context), which its server was told: 32 hexadecimal
    /// digits. None for a call by hand.
    pub trace_id: Option<String>,
    /// From the request's arrival to the answer's last byte, to the microsecond.
    pub duration: Duration,
    /// Length of the request's body; of a call by hand, of its arguments.
    pub request_bytes: u64,
    /// Length of everything answered.
    pub response_bytes: u64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// The JSON-RPC error's code of a call that was [`CallOutcome::Refused`].
    pub error_code: Option<i32>,
    /// What may be kept of it, where it is wanted.
    pub payload: Payload,
}

/// What was said in a call, without secrets, at most [`crate::redact::MAX_KEPT`] bytes each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// JSON, or how it begins.
    pub arguments: Option<String>,
    /// The result or the error: JSON, or how it begins.
    pub result: Option<String>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// The server answered with a result, which can still say that the tool failed (`isError`).
    Answered,
    /// The server answered with a JSON-RPC error.
    Refused,
    /// It was one too many and was not made.
    Limited,
    /// The client went away or cancelled.
    Cancelled,
    /// The server could not be reached, broke off or sent what is no MCP.
    Failed,
}

/// A call as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// Its place among all calls that were kept.
    pub sequence: i64,
    /// The call.
    pub call: Call,
}
