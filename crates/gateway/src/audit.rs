//! What is remembered of every call (AGT-8), written off the hot path.
//!
//! Calls put a record into a bounded channel and go on; one task hands records in batches to the
//! [`AuditSink`]. When the sink is slower than the calls for so long that the channel is full,
//! records are counted as lost and the count is logged: a slow disk must not stop the agents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, AgentId, InstanceId, UserId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

/// How many records a sink gets at once at most.
const BATCH: usize = 256;
/// Between batches. Meanwhile nobody waits for a record, so that calls need not wake anybody.
const PAUSE: Duration = Duration::from_millis(10);

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
    /// Takes some records, oldest first. Called by one task, one call at a time.
    async fn write(&self, records: Vec<AuditRecord>);
}

/// Writes each record as one log line of level `info`, target `agentopia::audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAudit;

#[async_trait]
impl AuditSink for TracingAudit {
    async fn write(&self, records: Vec<AuditRecord>) {
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

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct AuditQueue {
    sender: mpsc::Sender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Record(Box<AuditRecord>),
    /// Answered when everything before it is written.
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl AuditQueue {
    /// Starts the task that writes. It ends when the last sender is gone.
    pub(crate) fn start(sink: Arc<dyn AuditSink>, capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let lost = Arc::new(AtomicU64::new(0));
        tokio::spawn(write_all(sink, receiver, lost.clone()));
        Self { sender, lost }
    }

    pub(crate) fn record(&self, record: AuditRecord) {
        if self
            .sender
            .try_send(Entry::Record(Box::new(record)))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when everything recorded so far has been given to the sink.
    pub(crate) async fn flush(&self) {
        let (done, written) = tokio::sync::oneshot::channel();
        if self.sender.send(Entry::Flush(done)).await.is_ok() {
            // An error means that the writer is gone, and with it all there was to wait for.
            let _gone = written.await;
        }
    }
}

async fn write_all(
    sink: Arc<dyn AuditSink>,
    mut receiver: mpsc::Receiver<Entry>,
    lost: Arc<AtomicU64>,
) {
    let mut entries = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut entries, BATCH).await > 0 {
        let mut records = Vec::with_capacity(entries.len());
        let mut flushes = Vec::new();
        for entry in entries.drain(..) {
            match entry {
                Entry::Record(record) => records.push(*record),
                Entry::Flush(done) => flushes.push(done),
            }
        }
        if !records.is_empty() {
            sink.write(records).await;
        }
        for done in flushes {
            let _receiver_gone = done.send(());
        }
        if receiver.len() < BATCH {
            tokio::time::sleep(PAUSE).await;
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => tracing::warn!(
                count,
                "audit records lost: the sink is slower than the calls"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(parking_lot::Mutex<Vec<String>>);

    #[async_trait]
    impl AuditSink for Kept {
        async fn write(&self, records: Vec<AuditRecord>) {
            self.0.lock().extend(records.into_iter().map(|r| r.target));
        }
    }

    #[tokio::test]
    async fn a_flush_returns_when_all_before_it_is_written() {
        let ambient = agentopia_domain::Ambient::system();
        let kept = Arc::new(Kept::default());
        let queue = AuditQueue::start(kept.clone(), 1_000);
        for n in 0..600 {
            queue.record(AuditRecord {
                at: ambient.now(),
                account_id: ambient.new_id(),
                agent_id: None,
                user_id: None,
                trace_id: [b'1'; 32],
                credential: TokenHash::of("agt_test"),
                instance_id: ambient.new_id(),
                method: "tools/call",
                target: n.to_string(),
                duration: Duration::ZERO,
                request_bytes: 0,
                response_bytes: 0,
                outcome: CallOutcome::Answered,
            });
        }
        queue.flush().await;
        let wanted: Vec<_> = (0..600).map(|n| n.to_string()).collect();
        assert_eq!(*kept.0.lock(), wanted);
    }
}
