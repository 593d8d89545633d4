//! The audit record of a call, written when its answer has gone out or nobody waits for it.

use agentopia_domain::redact::MAX_KEPT;
use agentopia_mcp::{Envelope, Field, method};
use bytes::Bytes;
use tokio::time::Instant;

use super::Asking;
use crate::aggregate::resolve::Hop;
use crate::audit::{AuditQueue, AuditRecord, CallOutcome, RawPayload};
use crate::quotas::Counted;

/// The longest name or URI that is kept, bytes.
const MAX_TARGET: usize = 256;

/// A record in the making; dropped without an end it says "cancelled".
pub(super) struct Record {
    queue: AuditQueue,
    started: Instant,
    record: Option<AuditRecord>,
    counted: Counted,
}

impl Record {
    pub(super) fn begin(asking: &Asking<'_>, hop: &Hop, counted: Counted) -> Self {
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
                payload: arguments(asking, hop),
            }
        });
        Self {
            queue: asking.core.audit.clone(),
            started: Instant::now(),
            record,
            counted,
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

    /// What the server answered, if it is to be kept.
    pub(super) fn answered(&mut self, response: &Envelope) {
        let payload = self.record.as_mut().and_then(|it| it.payload.as_mut());
        if let Some(payload) = payload
            && let Some(said) = [Field::Result, Field::Error]
                .into_iter()
                .find_map(|field| response.raw(field))
        {
            payload.result = beginning(said.as_bytes());
        }
    }

    /// The same of an answer that is too long to be read as a whole: how it begins.
    pub(super) fn began(&mut self, answer: &[u8]) {
        const RESULT: &[u8] = b"\"result\":";
        let payload = self.record.as_mut().and_then(|it| it.payload.as_mut());
        if let Some(payload) = payload
            && let Some(at) = memchr::memmem::find(answer, RESULT)
        {
            payload.result = beginning(&answer[at + RESULT.len()..]);
        }
    }

    pub(super) fn end(mut self, outcome: CallOutcome, bytes: usize) {
        self.sent(bytes);
        self.outcome(outcome);
    }

    /// It was no call that counts.
    pub(super) fn discard(mut self) -> Counted {
        self.record = None;
        std::mem::take(&mut self.counted)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.duration = self.started.elapsed();
            self.queue.record(record, std::mem::take(&mut self.counted));
        }
    }
}

/// The arguments of a call, where the account's owner wants them kept.
fn arguments(asking: &Asking<'_>, hop: &Hop) -> Option<Box<RawPayload>> {
    let routes = asking.core.routes.load();
    if !routes.keeps_payloads(hop.route.account_id) {
        return None;
    }
    let said = asking.message.raw(Field::ParamsArguments);
    Some(Box::new(RawPayload {
        arguments: said.map_or_else(Bytes::new, |said| beginning(said.as_bytes())),
        result: Bytes::new(),
    }))
}

/// A copy, so that no buffer is held; one byte more than is kept says that there was more.
fn beginning(json: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&json[..json.len().min(MAX_KEPT + 1)])
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TARGET)]
}
