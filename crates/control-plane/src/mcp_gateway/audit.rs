//! What the control plane does with the record of every call (AGT-8): it is logged, written to the
//! store, and the token that was shown is marked as used. All off the hot path, in batches.
//!
//! A store that fails for a moment is tried again; calls wait in the gateway's queue meanwhile, which
//! says how many it had to drop if that takes too long. What could not be written is in the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agentopia_domain::account::CallCount;
use agentopia_domain::call::{Call, CallOutcome, Payload};
use agentopia_domain::redact::redact;
use agentopia_domain::token::TokenHash;
use agentopia_gateway::{AuditRecord, AuditSink, CallOutcome as Ended, TracingAudit};
use agentopia_store::{Store, StoreError};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::log_out;

/// How exactly the last use of a token is known.
const PRECISION: Duration = Duration::from_secs(60);
/// Before each further try to write calls. All together less than a shutdown may take.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// See the module's header.
#[derive(Debug)]
pub struct CallAudit {
    store: Store,
    /// When a token was last marked here.
    marked: Mutex<HashMap<TokenHash, Instant>>,
}

impl CallAudit {
    /// Nothing is marked yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            marked: Mutex::default(),
        }
    }

    /// The tokens of `records` that were not marked a moment ago.
    fn to_mark(&self, records: &[AuditRecord]) -> Vec<TokenHash> {
        let mut marked = self.marked.lock();
        marked.retain(|_, at| at.elapsed() < PRECISION);
        let mut due = Vec::new();
        for record in records {
            if marked.insert(record.credential, Instant::now()).is_none() {
                due.push(record.credential);
            }
        }
        due
    }

    async fn mark(&self, hash: TokenHash) -> Result<(), StoreError> {
        match self.store.api_tokens().by_hash_unscoped(hash).await? {
            Some(token) => self.store.api_tokens().touch_unscoped(token.id).await,
            None => Ok(()),
        }
    }

    async fn keep(&self, calls: &[Call]) -> Vec<CallCount> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.store.calls().insert_unscoped(calls).await {
                Ok(counts) => return counts,
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else {
                tracing::error!(%error, count = calls.len(), "calls could not be written to the database; they are in this log");
                return Vec::new();
            };
            tracing::warn!(%error, count = calls.len(), "calls could not be written yet; trying again");
            tokio::time::sleep(pause).await;
        }
    }
}

#[async_trait]
impl AuditSink for CallAudit {
    async fn write(&self, records: Vec<AuditRecord>) -> Vec<CallCount> {
        for hash in self.to_mark(&records) {
            if let Err(error) = self.mark(hash).await {
                tracing::debug!(%error, "the use of a token could not be noted");
            }
        }
        let calls: Vec<Call> = records.iter().map(to_call).collect();
        // First, so that a process that is killed while it tries to write has said them.
        log_out::together(|| TracingAudit::say(&records));
        self.keep(&calls).await
    }
}

fn to_call(record: &AuditRecord) -> Call {
    let (outcome, error_code) = match record.outcome {
        Ended::Answered => (CallOutcome::Answered, None),
        Ended::Refused(code) => (CallOutcome::Refused, Some(code)),
        Ended::Limited => (CallOutcome::Limited, None),
        Ended::Cancelled => (CallOutcome::Cancelled, None),
        Ended::Failed => (CallOutcome::Failed, None),
    };
    Call {
        at: record.at,
        account_id: record.account_id,
        agent_id: record.agent_id,
        user_id: record.user_id,
        instance_id: record.instance_id,
        method: record.method.to_owned(),
        target: record.target.clone(),
        trace_id: Some(String::from_utf8_lossy(&record.trace_id).into_owned()),
        duration: record.duration,
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        outcome,
        error_code,
        payload: record
            .payload
            .as_deref()
            .map_or_else(Payload::default, |said| {
                let kept = |json: &[u8]| (!json.is_empty()).then(|| redact(json));
                Payload {
                    arguments: kept(&said.arguments),
                    result: kept(&said.result),
                }
            }),
    }
}
