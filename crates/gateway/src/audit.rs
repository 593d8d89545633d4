//! What is remembered of every call (AGT-8). `queue` brings it to the [`AuditSink`], off the hot path.

mod queue;

use std::time::Duration;

use agentopia_domain::account::CallCount;
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, AgentId, InstanceId, UserId};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

pub(crate) use queue::AuditQueue;

/// One call that an agent made.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// When it came in.
    pub at: DateTime<Utc>,
    /// Whose agent or instance.
    pub account_id: AccountId,
    /// The agent, unless a person called.
    pub agent_id: Option<AgentId>,
    /// The person, unless an agent called.
    pub user_id: Option<UserId>,
    /// The trace that it belongs to (W3C Trace Context): 32 hexadecimal digits.
    pub trace_id: [u8; 32],
    /// The hash of the token that was shown.
    pub credential: TokenHash,
    /// The instance that answered or should have.
    pub instance_id: InstanceId,
    /// The MCP method (`tools/call`, `prompts/get`, `resources/read`).
    pub method: &'static str,
    /// The server's own name of the tool or prompt, or the resource's URI; cut at 256 bytes.
    pub target: String,
    /// From the request's arrival to the answer's last byte.
    pub duration: Duration,
    /// Length of the request's body.
    pub request_bytes: u64,
    /// Length of everything answered.
    pub response_bytes: u64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// What was said, where the account's owner wants it kept.
    pub payload: Option<Box<RawPayload>>,
}

/// What was said in a call, **as it was said**: whoever keeps it takes secrets out first
/// ([`agentopia_domain::redact`]). Of what is longer than [`agentopia_domain::redact::MAX_KEPT`], the
/// beginning, which is one byte longer than that.
#[derive(Clone, Default)]
pub struct RawPayload {
    /// The arguments, JSON; empty if there are none.
    pub arguments: Bytes,
    /// The result, or the error's object, JSON; empty if none came.
    pub result: Bytes,
}

impl std::fmt::Debug for RawPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawPayload")
            .field("arguments", &self.arguments.len())
            .field("result", &self.result.len())
            .finish()
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The upstream answered with a result (which can still say `isError`).
    Answered,
    /// The upstream answered with this JSON-RPC error.
    Refused(i32),
    /// It was one too many ([`crate::CallLimits`]) and was not made.
    Limited,
    /// The client went away or cancelled.
    Cancelled,
    /// The upstream could not be reached, broke off or sent what is no MCP.
    Failed,
}

/// Where audit records go.
#[async_trait]
pub trait AuditSink: Send + Sync + 'static {
    /// Takes some records, oldest first. Called by one task, one call at a time. Returns what the counts
    /// that they belong to are now, as far as it knows: other replicas count too.
    async fn write(&self, records: Vec<AuditRecord>) -> Vec<CallCount>;
}

/// Writes each record as one log line of level `info`, target `agentopia::audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAudit;

impl TracingAudit {
    /// Writes them at once.
    pub fn say(records: &[AuditRecord]) {
        for r in records {
            tracing::info!(
                target: "agentopia::audit",
                at = %r.at.to_rfc3339(),
                account = %r.account_id,
                agent = r.agent_id.map(tracing::field::display),
                user = r.user_id.map(tracing::field::display),
                instance = %r.instance_id,
                method = r.method,
                name = ?r.target,
                duration_us = u64::try_from(r.duration.as_micros()).unwrap_or(u64::MAX),
                trace = %String::from_utf8_lossy(&r.trace_id),
                request_bytes = r.request_bytes,
                response_bytes = r.response_bytes,
                outcome = ?r.outcome,
                "call"
            );
        }
    }
}

#[async_trait]
impl AuditSink for TracingAudit {
    async fn write(&self, records: Vec<AuditRecord>) -> Vec<CallCount> {
        Self::say(&records);
        Vec::new()
    }
}
