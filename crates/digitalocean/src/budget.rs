//! One budget of requests for each token, shared by everything that uses the token.
//!
//! DigitalOcean counts requests per token, so many reconcilers on one token have to share: without
//! this they meet the limit together, are refused together, and try again together. Whoever wants
//! to send waits here, first come, first served. As each caller has one request at a time in here,
//! one that sends a hundred takes turns with the others.
//!
//! Deletions, and what the caller marks so, have a queue of their own and a reserve: what costs
//! money can be taken away even while everything else wants to send.
//!
//! Several control planes on one token don't know of each other; they meet in what DigitalOcean
//! says is left, and at worst in a 429.
//!
//! What may go when is decided in `ledger`, without a clock of its own. Here is the waiting.

mod headers;
mod ledger;
mod window;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify};
use tokio::time::{Instant, sleep_until, timeout_at};

pub(crate) use headers::RateHeaders;
pub use ledger::Limits;
use ledger::{Ledger, Queue, Serial};

/// How much a request can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// Behind all that came before it, and not from the reserve.
    #[default]
    Ordinary,
    /// Behind other urgent requests only, and from the reserve too.
    Urgent,
}

/// Which limits a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meter {
    /// The general ones.
    General,
    /// The general ones, and that of the list of SSH keys.
    Keys,
}

/// The budget of one token: a handle, cheap to clone. Make one for each token.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// Whoever holds one is the first of its queue; tokio's mutex is first come, first served.
    ordinary: tokio::sync::Mutex<()>,
    urgent: tokio::sync::Mutex<()>,
    keys: tokio::sync::Mutex<()>,
    /// Told when an answer changed what is known, so that the first of each queue asks again.
    news: Notify,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Shared {
    fn new(limits: Limits) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(limits)),
            ordinary: tokio::sync::Mutex::default(),
            urgent: tokio::sync::Mutex::default(),
            keys: tokio::sync::Mutex::default(),
            news: Notify::new(),
        }
    }
}

/// There is no room before the caller's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// When there will be, as far as is known.
    pub(crate) until: Instant,
}

impl Budget {
    /// With other limits than the documented ones. What answers tell replaces them.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared::new(limits)),
        }
    }

    /// How many requests are left this hour, as far as is known, and how many an hour has.
    pub(crate) fn left(&self) -> (usize, usize) {
        self.shared.ledger.lock().left(Instant::now())
    }

    /// Waits for leave to send one request. Dropping the future gives up the place in the queue.
    pub(crate) async fn acquire(
        &self,
        meter: Meter,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Permit, NoRoom> {
        // First the narrow gate, so that a wait for it keeps nobody else waiting.
        let keys = match meter {
            Meter::Keys => Some(self.slot(Queue::Keys, deadline).await?),
            Meter::General => None,
        };
        let queue = match urgency {
            Urgency::Ordinary => Queue::Ordinary,
            Urgency::Urgent => Queue::Urgent,
        };
        let general = self.slot(queue, deadline).await?;
        Ok(Permit { general, keys })
    }

    async fn slot(&self, queue: Queue, deadline: Instant) -> Result<Slot, NoRoom> {
        let _first = self.head(queue, deadline).await?;
        loop {
            // Listening starts before asking: news in between is not missed.
            let news = self.shared.news.notified();
            let now = Instant::now();
            let started = self.shared.ledger.lock().start(now, queue);
            match started {
                Ok(serial) => {
                    return Ok(Slot {
                        budget: self.clone(),
                        queue,
                        serial,
                    });
                }
                Err(until) if until > deadline => return Err(NoRoom { until }),
                Err(until) => {
                    tokio::select! {
                        biased;
                        () = sleep_until(until) => {}
                        () = news => {}
                    }
                }
            }
        }
    }

    /// Waits to become the first of a queue.
    async fn head(&self, queue: Queue, deadline: Instant) -> Result<MutexGuard<'_, ()>, NoRoom> {
        let gate = match queue {
            Queue::Ordinary => &self.shared.ordinary,
            Queue::Urgent => &self.shared.urgent,
            Queue::Keys => &self.shared.keys,
        };
        timeout_at(deadline, gate.lock()).await.map_err(|_| {
            let free = self.shared.ledger.lock().free_at(Instant::now(), queue);
            NoRoom {
                until: free.max(deadline),
            }
        })
    }
}

/// Leave to send one request. It counts as under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    general: Slot,
    keys: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    budget: Budget,
    queue: Queue,
    serial: Serial,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut ledger = self.budget.shared.ledger.lock();
        ledger.end(Instant::now(), self.queue);
    }
}

impl Permit {
    /// The request was answered.
    pub(crate) fn answered(self, headers: &RateHeaders) {
        let (budget, by) = self.end();
        budget
            .shared
            .ledger
            .lock()
            .told(Instant::now(), by, headers);
        budget.shared.news.notify_waiters();
    }

    /// The request was refused with a 429. Gives the time from which on it is worth trying again.
    pub(crate) fn limited(self, headers: &RateHeaders) -> Instant {
        let keys = self.keys.is_some();
        let (budget, by) = self.end();
        let now = Instant::now();
        let until = budget.shared.ledger.lock().limited(now, by, headers, keys);
        budget.shared.news.notify_waiters();
        until
    }

    fn end(self) -> (Budget, Serial) {
        (self.general.budget.clone(), self.general.serial)
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
