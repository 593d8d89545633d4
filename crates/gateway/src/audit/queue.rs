//! Brings records to the sink.
//!
//! Calls put a record into a bounded channel and go on; one task hands records in batches to the
//! [`AuditSink`]. When the sink is slower than the calls for so long that the channel is full,
//! records are counted as lost and the count is logged: a slow disk must not stop the agents. What was said in
//! calls is bounded apart, because it is far larger: it is left out before a record is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{AuditRecord, AuditSink, RawPayload};
use crate::quotas::{Counted, Quotas};

/// How many records a sink gets at once at most.
const BATCH: usize = 256;
/// Between batches. Meanwhile nobody waits for a record, so that calls need not wake anybody; and a batch costs the
/// database more than its records do, as long as those are few.
const PAUSE: Duration = Duration::from_millis(25);
/// So much of what was said in calls may wait, bytes.
const MAX_WAITING: usize = 16 << 20;

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct AuditQueue {
    sender: mpsc::Sender<Entry>,
    losses: Arc<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    records: AtomicU64,
    payloads: AtomicU64,
    /// Bytes of payloads that wait.
    waiting: AtomicUsize,
}

#[derive(Debug)]
enum Entry {
    Record(Box<(AuditRecord, Counted)>),
    /// Answered when everything before it is written.
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl AuditQueue {
    /// Starts the task that writes. It ends when the last sender is gone.
    pub(crate) fn start(sink: Arc<dyn AuditSink>, capacity: usize, quotas: Arc<Quotas>) -> Self {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let losses = Arc::new(Losses::default());
        tokio::spawn(write_all(sink, receiver, losses.clone(), quotas));
        Self { sender, losses }
    }

    /// `counted` is what the call counts against; until it is written, here.
    pub(crate) fn record(&self, mut record: AuditRecord, counted: Counted) {
        let size = size_of(record.payload.as_deref());
        if size > 0 {
            let waiting = self.losses.waiting.fetch_add(size, Ordering::Relaxed);
            if waiting + size > MAX_WAITING {
                self.losses.waiting.fetch_sub(size, Ordering::Relaxed);
                self.losses.payloads.fetch_add(1, Ordering::Relaxed);
                record.payload = None;
            }
        }
        let size = size_of(record.payload.as_deref());
        let entry = Entry::Record(Box::new((record, counted)));
        if self.sender.try_send(entry).is_err() {
            self.losses.waiting.fetch_sub(size, Ordering::Relaxed);
            self.losses.records.fetch_add(1, Ordering::Relaxed);
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

fn size_of(payload: Option<&RawPayload>) -> usize {
    payload.map_or(0, |it| it.arguments.len() + it.result.len())
}

async fn write_all(
    sink: Arc<dyn AuditSink>,
    mut receiver: mpsc::Receiver<Entry>,
    losses: Arc<Losses>,
    quotas: Arc<Quotas>,
) {
    let mut entries = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut entries, BATCH).await > 0 {
        let mut records = Vec::with_capacity(entries.len());
        let mut all_counted = Vec::with_capacity(entries.len());
        let mut flushes = Vec::new();
        let mut size = 0;
        for entry in entries.drain(..) {
            match entry {
                Entry::Record(entry) => {
                    let (record, counted) = *entry;
                    size += size_of(record.payload.as_deref());
                    records.push(record);
                    all_counted.push(counted);
                }
                Entry::Flush(done) => flushes.push(done),
            }
        }
        if !records.is_empty() {
            let counts = sink.write(records).await;
            quotas.written(all_counted, &counts);
        }
        losses.waiting.fetch_sub(size, Ordering::Relaxed);
        for done in flushes {
            let _receiver_gone = done.send(());
        }
        if receiver.len() < BATCH {
            tokio::time::sleep(PAUSE).await;
        }
        losses.say();
    }
}

impl Losses {
    fn say(&self) {
        match self.records.swap(0, Ordering::Relaxed) {
            0 => {}
            count => tracing::warn!(
                count,
                "audit records lost: the sink is slower than the calls"
            ),
        }
        match self.payloads.swap(0, Ordering::Relaxed) {
            0 => {}
            count => tracing::warn!(
                count,
                "arguments and results not kept: they come faster than they are written"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::account::CallCount;
    use agentopia_domain::token::TokenHash;
    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::audit::CallOutcome;

    #[derive(Default)]
    struct Kept(parking_lot::Mutex<Vec<(String, usize)>>);

    #[async_trait]
    impl AuditSink for Kept {
        async fn write(&self, records: Vec<AuditRecord>) -> Vec<CallCount> {
            let kept = |r: AuditRecord| (r.target, size_of(r.payload.as_deref()));
            self.0.lock().extend(records.into_iter().map(kept));
            Vec::new()
        }
    }

    fn record(target: String, payload: Option<Box<RawPayload>>) -> AuditRecord {
        let ambient = agentopia_domain::Ambient::system();
        AuditRecord {
            at: ambient.now(),
            account_id: ambient.new_id(),
            agent_id: None,
            user_id: None,
            trace_id: [b'1'; 32],
            credential: TokenHash::of("agt_test"),
            instance_id: ambient.new_id(),
            method: "tools/call",
            target,
            duration: Duration::ZERO,
            request_bytes: 0,
            response_bytes: 0,
            outcome: CallOutcome::Answered,
            payload,
        }
    }

    fn queue(capacity: usize) -> (Arc<Kept>, AuditQueue) {
        let kept = Arc::new(Kept::default());
        let queue = AuditQueue::start(kept.clone(), capacity, Arc::default());
        (kept, queue)
    }

    #[tokio::test]
    async fn a_flush_returns_when_all_before_it_is_written() {
        let (kept, queue) = queue(1_000);
        for n in 0..600 {
            queue.record(record(n.to_string(), None), Counted::default());
        }
        queue.flush().await;
        let wanted: Vec<_> = (0..600).map(|n| (n.to_string(), 0)).collect();
        assert_eq!(*kept.0.lock(), wanted);
    }

    #[tokio::test]
    async fn what_was_said_is_left_out_before_a_record_is() {
        let (kept, queue) = queue(10);
        let half = Bytes::from(vec![b'x'; MAX_WAITING / 2]);
        let said = || {
            Some(Box::new(RawPayload {
                arguments: half.clone(),
                result: Bytes::new(),
            }))
        };
        for _ in 0..3 {
            queue.record(record(String::new(), said()), Counted::default());
        }
        queue.flush().await;
        queue.record(record(String::new(), said()), Counted::default());
        queue.flush().await;
        let sizes: Vec<_> = kept.0.lock().iter().map(|(_, size)| *size).collect();
        assert_eq!(sizes, [half.len(), half.len(), 0, half.len()]);
    }
}
