//! How reconcilers get their work: rows that are due, claimed with a lease, one row at a time each.
//!
//! A reconciler is told a row's id and nothing else. It is woken by a signal (somebody wrote
//! intent) *and* by a timer, because a signal can be lost with the replica that sent it. While it
//! works its lease is renewed; when it dies the lease runs out and another replica takes the row.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentopia_store::{Claim, LeaseKind, Store, StoreError};
use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::http::live::EventBell;

/// How long a lease lasts without renewal: how long a row waits when a replica dies.
const LEASE: Duration = Duration::from_secs(8);
/// How often a lease is renewed.
const RENEWAL: Duration = Duration::from_secs(2);
/// How often a replica looks for due rows that nobody told it of.
const POLL: Duration = Duration::from_secs(1);
/// How many rows of one kind a replica works on at once.
const CONCURRENCY: usize = 32;
/// How soon a row is looked at again after an error that was not foreseen.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// When a row should be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// After this long, or when woken.
    After(Duration),
    /// Only when woken.
    Never,
}

/// Works on one row.
#[async_trait]
pub trait Reconcile: Send + Sync + 'static {
    /// Which rows.
    fn kind(&self) -> LeaseKind;

    /// Brings one row closer to what is wanted. Must be safe to repeat and to drop at any await.
    async fn reconcile(&self, claim: Claim) -> anyhow::Result<Next>;
}

/// Wakes reconcilers of this replica at once. Other replicas see the change with their next poll.
#[derive(Debug, Clone)]
pub struct Bell {
    work: Arc<Notify>,
    rows: broadcast::Sender<Uuid>,
}

impl Default for Bell {
    fn default() -> Self {
        Self {
            work: Arc::default(),
            rows: broadcast::channel(1024).0,
        }
    }
}

impl Bell {
    /// A row's intent changed, or its machine has news of it.
    pub fn ring(&self, row: Uuid) {
        // Nobody listening is fine: then nobody is waiting for it.
        let _listeners = self.rows.send(row);
        self.work.notify_one();
    }

    /// Completes when the bell is rung for `row`.
    pub async fn rung_for(&self, row: Uuid) {
        let mut rows = self.rows.subscribe();
        loop {
            match rows.recv().await {
                Ok(rung) if rung == row => return,
                Ok(_) => {}
                // Some were missed; ours may be among them.
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Runs a reconciler until `shutdown`; rows that are being worked on are given back then.
pub async fn run(
    store: Store,
    reconciler: Arc<dyn Reconcile>,
    replica: Arc<str>,
    bell: Bell,
    events: EventBell,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let at_work: Arc<Mutex<HashSet<Uuid>>> = Arc::default();
    let tasks = TaskTracker::new();
    while !shutdown.is_cancelled() {
        let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        let kind = reconciler.kind();
        let claims = claim(&store, kind, &replica, free).await;
        let claims = claims.unwrap_or_else(|error| {
            tracing::warn!(%error, ?kind, "no work could be claimed");
            Vec::new()
        });
        for claim in claims {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let worker = Worker {
                store: store.clone(),
                reconciler: Arc::clone(&reconciler),
                bell: bell.clone(),
                events: events.clone(),
                at_work: Arc::clone(&at_work),
                shutdown: shutdown.clone(),
            };
            tasks.spawn(async move {
                worker.work(claim).await;
                drop(slot);
            });
        }
        tokio::select! {
            // Who rang at the moment of the poll was heard, and is not heard again.
            biased;
            () = bell.work.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Takes what is due, at most `free` rows.
async fn claim(
    store: &Store,
    kind: LeaseKind,
    replica: &str,
    free: u32,
) -> Result<Vec<Claim>, StoreError> {
    let leases = store.leases();
    // Looked at first: mostly there is nothing, and claiming takes the lock of those who write.
    if free == 0 || !leases.is_any_due(kind).await? {
        return Ok(Vec::new());
    }
    leases.claim_due(kind, replica, LEASE, free).await
}

/// Takes the row off the list of those being worked on, however the work ends: after a panic it
/// would otherwise never be looked at again by this replica, which goes on claiming it.
struct AtWork {
    rows: Arc<Mutex<HashSet<Uuid>>>,
    row: Uuid,
}

impl AtWork {
    /// `None` if the row is being worked on already.
    fn begin(rows: &Arc<Mutex<HashSet<Uuid>>>, row: Uuid) -> Option<Self> {
        let is_new = rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(row);
        is_new.then(|| Self {
            rows: Arc::clone(rows),
            row,
        })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.remove(&self.row);
    }
}

struct Worker {
    store: Store,
    reconciler: Arc<dyn Reconcile>,
    bell: Bell,
    events: EventBell,
    at_work: Arc<Mutex<HashSet<Uuid>>>,
    shutdown: CancellationToken,
}

impl Worker {
    async fn work(&self, claim: Claim) {
        // A lease of ours that ran out (the process was paused) may be claimed by ourselves again
        // while the first run still ends: the fencing token keeps it from writing, this from
        // starting twice.
        let Some(at_work) = AtWork::begin(&self.at_work, claim.id) else {
            return;
        };
        let next = tokio::select! {
            // What is done counts, also when the lease is lost or the end comes at that moment.
            biased;
            result = self.reconciler.reconcile(claim) => match result {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(
                        row = %claim.id, kind = ?self.reconciler.kind(), error = format!("{error:#}"),
                        "reconciling failed; it will be tried again"
                    );
                    Next::After(AFTER_ERROR)
                }
            },
            () = self.keep_lease(claim) => Next::After(Duration::ZERO),
            () = self.shutdown.cancelled() => Next::After(Duration::ZERO),
        };
        drop(at_work);
        // What was done stands in the timeline; live streams should look.
        self.events.ring();
        self.give_back(claim, next).await;
    }

    /// Completes when the lease is lost.
    async fn keep_lease(&self, claim: Claim) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let leases = self.store.leases();
            match leases
                .renew(self.reconciler.kind(), claim.id, claim.token, LEASE)
                .await
            {
                Ok(()) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => {
                    tracing::warn!(row = %claim.id, %error, "a lease was lost");
                    return;
                }
            }
        }
    }

    async fn give_back(&self, claim: Claim, next: Next) {
        let delay = match next {
            Next::After(delay) => Some(delay),
            Next::Never => None,
        };
        let leases = self.store.leases();
        if let Err(error) = leases
            .release(self.reconciler.kind(), claim.id, claim.token, delay)
            .await
        {
            // It runs out by itself.
            tracing::debug!(row = %claim.id, %error, "a lease could not be given back");
        }
        // It may have been woken while we worked on it.
        self.bell.work.notify_one();
        // Sooner than the next poll: have ourselves woken, unless we are going anyway.
        let soon = delay.filter(|delay| *delay < POLL);
        if let Some(delay) = soon.filter(|_| !self.shutdown.is_cancelled()) {
            let work = Arc::clone(&self.bell.work);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                work.notify_one();
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_gives_the_row_free() {
        let rows = Arc::default();
        let row = Uuid::nil();
        let first = AtWork::begin(&rows, row).unwrap();
        assert!(AtWork::begin(&rows, row).is_none(), "one run at a time");
        let run = tokio::spawn(async move {
            let _at_work = first;
            panic!("a reconciler's mistake");
        });
        assert!(run.await.unwrap_err().is_panic());
        assert!(AtWork::begin(&rows, row).is_some());
    }
}
