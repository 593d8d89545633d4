//! The audit record of a call, written when its answer has gone out or nobody waits for it.

use agentopia_mcp::{Field, method};
use tokio::time::Instant;

use super::Asking;
use crate::aggregate::resolve::Hop;
use crate::audit::{AuditQueue, AuditRecord, CallOutcome};

/// The longest name or URI that is kept, bytes.
const MAX_TARGET: usize = 256;

/// A record in the making; dropped without an end it says "cancelled".
pub(super) struct Record {
    queue: AuditQueue,
    started: Instant,
    record: Option<AuditRecord>,
}

impl Record {
    pub(super) fn begin(asking: &Asking<'_>, hop: &Hop) -> Self {
        let audited = match &*asking.message.method() {
            method::TOOLS_CALL => Some((method::TOOLS_CALL, Field::ParamsName)),
            method::PROMPTS_GET => Some((method::PROMPTS_GET, Field::ParamsName)),
            method::RESOURCES_READ => Some((method::RESOURCES_READ, Field::ParamsUri)),
            _ => None,
        };
        let record = audited.map(|(method, field)| {
            let target = match &hop.rename {
                Some((_, own)) => (&**own).into(),
                None => asking.message.text(field).unwrap_or_default(),
            };
            AuditRecord {
                at: asking.core.ambient.now(),
                account_id: hop.route.account_id,
                agent_id: asking.client.principal.agent_id(),
                user_id: asking.client.principal.user_id(),
                trace_id: asking.trace.id(),
                credential: asking.client.principal.credential(),
                instance_id: hop.route.id,
                method,
                target: cut(&target).to_owned(),
                duration: std::time::Duration::ZERO,
                request_bytes: asking.message.bytes().len() as u64,
                response_bytes: 0,
                outcome: CallOutcome::Cancelled,
            }
        });
        Self {
            queue: asking.core.audit.clone(),
            started: Instant::now(),
            record,
        }
    }

    /// Something went to the client.
    pub(super) fn sent(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.response_bytes += bytes as u64;
        }
    }

    /// How it ended, should nothing else come.
    pub(super) fn outcome(&mut self, outcome: CallOutcome) {
        if let Some(record) = &mut self.record {
            record.outcome = outcome;
        }
    }

    pub(super) fn end(mut self, outcome: CallOutcome, bytes: usize) {
        self.sent(bytes);
        self.outcome(outcome);
    }

    /// It was no call that counts.
    pub(super) fn discard(mut self) {
        self.record = None;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.duration = self.started.elapsed();
            self.queue.record(record);
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TARGET)]
}
