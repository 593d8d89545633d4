//! Who uses what. A call counts from its beginning to its end; streams that merely stand open don't.
//!
//! A call costs two or three operations on atomics of its own instance: it marks the instance, and a
//! task tells of the marks every now and then. Only the first use after a pause is told at once,
//! because somebody may be about to put the instance to sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use agentopia_domain::InstanceId;
use dashmap::DashMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Waker;

/// Not used for a whole interval.
const QUIET: u8 = 0;
/// Used for the first time since: to be told at once.
const FRESH: u8 = 1;
/// Told; not used since.
const TOLD: u8 = 2;
/// Used since it was told: to be told with the next round.
const USED: u8 = 3;

/// The marks of one instance.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Calls under way.
    open: AtomicUsize,
    state: AtomicU8,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Using {
    usage: Arc<Usage>,
    fresh: Arc<Notify>,
}

impl Drop for Using {
    fn drop(&mut self) {
        self.mark();
        self.usage.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Using {
    fn mark(&self) {
        let state = &self.usage.state;
        loop {
            let (before, after) = match state.load(Ordering::Acquire) {
                QUIET => (QUIET, FRESH),
                TOLD => (TOLD, USED),
                _ => return,
            };
            let marked = state.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire);
            match marked {
                Ok(QUIET) => return self.fresh.notify_one(),
                Ok(_) => return,
                // A round came in between.
                Err(_) => {}
            }
        }
    }
}

/// Of all instances that were ever used here.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    all: DashMap<InstanceId, Arc<Usage>>,
    fresh: Arc<Notify>,
}

impl Uses {
    /// Begins a use.
    pub(crate) fn begin(&self, instance: InstanceId) -> Using {
        let known = self.all.get(&instance).map(|usage| usage.clone());
        let usage = known.unwrap_or_else(|| self.all.entry(instance).or_default().clone());
        usage.open.fetch_add(1, Ordering::AcqRel);
        let using = Using {
            usage,
            fresh: self.fresh.clone(),
        };
        using.mark();
        using
    }

    /// Whether a call is under way.
    pub(crate) fn is_open(&self, instance: InstanceId) -> bool {
        let usage = self.all.get(&instance);
        usage.is_some_and(|usage| usage.open.load(Ordering::Acquire) > 0)
    }

    pub(crate) fn forget(&self, instance: InstanceId) {
        self.all.remove(&instance);
    }

    /// What has to be told now: with `round` all that was used since the last round, else what is
    /// used for the first time.
    fn take(&self, round: bool) -> Vec<InstanceId> {
        let is_told = |usage: &Usage| {
            let state = &usage.state;
            let open = usage.open.load(Ordering::Acquire) > 0;
            match state.load(Ordering::Acquire) {
                FRESH => state.store(TOLD, Ordering::Release),
                USED if round => state.store(TOLD, Ordering::Release),
                TOLD if round && open => {}
                TOLD if round => {
                    // Unless it is used just now.
                    let quiet = (Ordering::AcqRel, Ordering::Acquire);
                    let _used = state.compare_exchange(TOLD, QUIET, quiet.0, quiet.1);
                    return false;
                }
                _ => return false,
            }
            true
        };
        let told = self.all.iter().filter(|usage| is_told(usage));
        told.map(|usage| *usage.key()).collect()
    }

    /// It could not be told of these.
    fn take_back(&self, untold: &[InstanceId]) {
        for instance in untold {
            if let Some(usage) = self.all.get(instance) {
                usage.state.store(USED, Ordering::Release);
            }
        }
    }

    /// Tells `waker` until `stopped`, and once more then.
    pub(crate) async fn tell(
        &self,
        waker: &dyn Waker,
        interval: Duration,
        stopped: CancellationToken,
    ) {
        let mut rounds = tokio::time::interval(interval);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let round = tokio::select! {
                _ = rounds.tick() => true,
                () = self.fresh.notified() => false,
                () = stopped.cancelled() => true,
            };
            let used = self.take(round);
            if !used.is_empty()
                && let Err(error) = waker.used(&used).await
            {
                tracing::warn!(%error, "uses of tools could not be written down");
                self.take_back(&used);
            }
            if stopped.is_cancelled() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;

    use super::*;

    #[test]
    fn the_first_use_is_told_at_once_and_the_next_ones_with_the_round() {
        let uses = Uses::default();
        let id: InstanceId = Ambient::system().new_id();
        assert!(uses.take(false).is_empty() && uses.take(true).is_empty());
        drop(uses.begin(id));
        assert_eq!(uses.take(false), [id], "at once");
        drop(uses.begin(id));
        assert!(uses.take(false).is_empty(), "not again so soon");
        assert_eq!(uses.take(true), [id]);
        assert!(uses.take(true).is_empty(), "a round without use");
        drop(uses.begin(id));
        assert_eq!(uses.take(false), [id], "the pause is over");
    }

    /// Hands on what it is told.
    struct Ear(tokio::sync::mpsc::UnboundedSender<Vec<InstanceId>>);

    #[async_trait::async_trait]
    impl Waker for Ear {
        async fn used(&self, instances: &[InstanceId]) -> Result<(), String> {
            let told = self.0.send(instances.to_vec());
            told.map_err(|error| error.to_string())
        }

        async fn wake(&self, _instance: InstanceId) -> Result<(), String> {
            Err("nobody sleeps here".to_owned())
        }
    }

    /// Under virtual time: an hour is over only when nobody has anything to do.
    #[tokio::test(start_paused = true)]
    async fn the_first_use_does_not_wait_for_the_round_and_the_end_waits_for_nothing() {
        const ROUND: Duration = Duration::from_secs(3600);
        let (uses, stopped) = (Arc::new(Uses::default()), CancellationToken::new());
        let (ear, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let (telling, stop) = (Arc::clone(&uses), stopped.clone());
        let teller = tokio::spawn(async move { telling.tell(&Ear(ear), ROUND, stop).await });
        let id: InstanceId = Ambient::system().new_id();
        let begun = tokio::time::Instant::now();
        // The first round is at once, and has nothing to tell.
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(uses.begin(id));
        assert_eq!(heard.recv().await, Some(vec![id]));
        assert!(begun.elapsed() < ROUND, "{:?}", begun.elapsed());
        drop(uses.begin(id));
        assert_eq!(heard.recv().await, Some(vec![id]));
        assert!(begun.elapsed() >= ROUND, "not again so soon");
        drop(uses.begin(id));
        stopped.cancel();
        teller.await.unwrap();
        assert_eq!(heard.recv().await, Some(vec![id]), "what was left");
    }

    #[test]
    fn a_call_that_is_under_way_counts_in_every_round_and_once_more_at_its_end() {
        let uses = Uses::default();
        let id: InstanceId = Ambient::system().new_id();
        let call = uses.begin(id);
        for _ in 0..5 {
            assert_eq!(uses.take(true), [id]);
        }
        drop(call);
        assert_eq!(uses.take(true), [id]);
        assert!(uses.take(true).is_empty());
    }

    #[test]
    fn what_could_not_be_told_is_told_the_next_time() {
        let uses = Uses::default();
        let id: InstanceId = Ambient::system().new_id();
        drop(uses.begin(id));
        let untold = uses.take(false);
        uses.take_back(&untold);
        assert_eq!(uses.take(true), [id]);
    }
}
