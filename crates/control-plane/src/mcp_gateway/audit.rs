//! What the control plane does with the record of every call: it is logged, and the token that was
//! shown is marked as used. Both off the hot path, in batches.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agentopia_domain::token::TokenHash;
use agentopia_gateway::{AuditRecord, AuditSink, TracingAudit};
use agentopia_store::{Store, StoreError};
use async_trait::async_trait;
use parking_lot::Mutex;

/// How exactly the last use of a token is known.
const PRECISION: Duration = Duration::from_secs(60);

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
}

#[async_trait]
impl AuditSink for CallAudit {
    async fn write(&self, records: Vec<AuditRecord>) {
        for hash in self.to_mark(&records) {
            if let Err(error) = self.mark(hash).await {
                tracing::debug!(%error, "the use of a token could not be noted");
            }
        }
        TracingAudit.write(records).await;
    }
}
