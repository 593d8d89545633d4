//! What the reconciler remembers of one instance while the DTMA runs: failures, and when to try
//! again. Pure: time comes in as "since the DTMA started".
//!
//! Nothing here needs to be on disk. After a restart everything is tried anew, once.

use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::exponential;
use crate::runtime::{Retry, RuntimeError};

/// Monotonic time since the DTMA started.
pub(super) type Instant = Duration;

/// So many failures in [`WINDOW`] are a crash loop.
const LOOP_FAILURES: usize = 5;
/// See [`LOOP_FAILURES`]. Nothing but failures for as long is one too.
const WINDOW: Duration = Duration::from_secs(120);
/// Having run for so long means that it works: earlier failures no longer count.
const STABLE: Duration = Duration::from_secs(120);
/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause while there is hope.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pause of what failed: somebody has to mend something.
const FAILED_PAUSE: Duration = Duration::from_secs(300);

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct History {
    /// When it failed since it last was stable, oldest first; at most [`LOOP_FAILURES`].
    failures: VecDeque<Instant>,
    /// The last failure, for people.
    pub(super) message: Option<String>,
    /// When to try again; `None`: never (only another spec helps), or nothing failed.
    pub(super) next_try: Option<Instant>,
    /// Nothing but another spec helps.
    pub(super) is_final: bool,
    /// Reported as failed, until it runs again.
    pub(super) is_failed: bool,
    /// Since when it has been answering.
    pub(super) healthy_since: Option<Instant>,
    /// Starts after a crash since the last change of its spec.
    pub(super) restarts: u32,
}

impl History {
    /// It did not start, or went away. `jitter` stretches or shrinks the pause.
    pub(super) fn failed(
        &mut self,
        error: &RuntimeError,
        now: Instant,
        jitter: impl FnOnce(Duration) -> Duration,
    ) {
        self.settle(now);
        self.healthy_since = None;
        self.failures.push_back(now);
        while self.failures.len() > LOOP_FAILURES {
            self.failures.pop_front();
        }
        let retry = error.code.retry();
        self.is_failed = self.is_failed || retry != Retry::Soon || self.is_crash_loop(now);
        self.is_final = retry == Retry::Never;
        let pause = if self.is_failed {
            FAILED_PAUSE
        } else {
            let attempts = u32::try_from(self.failures.len() - 1).unwrap_or(u32::MAX);
            exponential(FIRST_PAUSE, LONGEST_PAUSE, attempts)
        };
        self.next_try = (!self.is_final).then(|| now + jitter(pause));
    }

    /// It answers.
    pub(super) fn healthy(&mut self, now: Instant) {
        self.healthy_since.get_or_insert(now);
        self.next_try = None;
        self.is_final = false;
        self.is_failed = false;
        self.message = None;
    }

    /// Takes back the failures since `since`: they were not the tool's own. What they led to is
    /// taken back with them.
    pub(super) fn excuse(&mut self, since: Instant) {
        let own = self.failures.partition_point(|at| *at < since);
        if own == self.failures.len() || self.is_final {
            return;
        }
        self.failures.truncate(own);
        self.next_try = None;
        self.is_failed = false;
        self.message = None;
    }

    /// Forgets old failures of what has been running for long enough.
    pub(super) fn settle(&mut self, now: Instant) {
        if self
            .healthy_since
            .is_some_and(|since| now.saturating_sub(since) >= STABLE)
        {
            self.failures.clear();
        }
    }

    /// Whether it may be tried at `now`.
    #[must_use]
    pub(super) fn may_try(&self, now: Instant) -> bool {
        !self.is_final && self.next_try.is_none_or(|at| now >= at)
    }

    fn is_crash_loop(&self, now: Instant) -> bool {
        let (Some(first), count) = (self.failures.front(), self.failures.len()) else {
            return false;
        };
        let span = now.saturating_sub(*first);
        (count >= LOOP_FAILURES && span <= WINDOW) || (count > 1 && span > WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ErrorCode;

    fn at(seconds: u64) -> Instant {
        Duration::from_secs(seconds)
    }

    fn crash() -> RuntimeError {
        RuntimeError::new(ErrorCode::Unhealthy, "gone")
    }

    #[test]
    fn pauses_double_until_the_fifth_crash_in_two_minutes() {
        let mut history = History::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            history.failed(&crash(), now, |pause| pause);
            let next = history.next_try.unwrap();
            pauses.push((next - now).as_secs());
            assert!(!history.may_try(now) && history.may_try(next));
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 300]);
        assert!(history.is_failed && !history.is_final);
    }

    #[test]
    fn a_tool_that_hangs_at_every_start_fails_after_two_minutes() {
        let mut history = History::default();
        history.failed(&crash(), at(60), |pause| pause);
        history.failed(&crash(), at(122), |pause| pause);
        assert!(!history.is_failed);
        history.failed(&crash(), at(186), |pause| pause);
        assert!(history.is_failed);
    }

    #[test]
    fn having_run_for_two_minutes_forgives() {
        let mut history = History::default();
        for second in 0..4 {
            history.failed(&crash(), at(second), |pause| pause);
        }
        history.healthy(at(10));
        history.failed(&crash(), at(129), |pause| pause);
        assert!(history.is_failed, "119 s are not enough");

        let mut history = History::default();
        for second in 0..4 {
            history.failed(&crash(), at(second), |pause| pause);
        }
        history.healthy(at(10));
        history.failed(&crash(), at(130), |pause| pause);
        assert!(!history.is_failed);
        assert_eq!(history.next_try, Some(at(131)));
    }

    #[test]
    fn what_was_not_its_own_fault_is_taken_back_with_its_consequences() {
        let mut history = History::default();
        history.failed(&crash(), at(0), |pause| pause);
        for second in 10..14 {
            history.failed(&crash(), at(second), |pause| pause);
        }
        assert!(history.is_failed);
        history.excuse(at(10));
        assert!(!history.is_failed && history.may_try(at(14)));
        history.failed(&crash(), at(20), |pause| pause);
        assert_eq!(history.next_try, Some(at(22)), "the first is remembered");
    }

    #[test]
    fn an_excuse_does_not_help_what_only_another_spec_can_mend() {
        let mut history = History::default();
        let error = RuntimeError::new(ErrorCode::ExecFailed, "wrong format");
        history.failed(&error, at(0), |pause| pause);
        history.excuse(at(0));
        assert!(history.is_final && history.is_failed);
    }

    #[test]
    fn what_somebody_has_to_mend_fails_at_once_and_is_tried_seldom() {
        let mut history = History::default();
        let error = RuntimeError::new(ErrorCode::ImageNotFound, "no such tag");
        history.failed(&error, at(0), |pause| pause);
        assert!(history.is_failed && !history.is_final);
        assert_eq!(history.next_try, Some(FAILED_PAUSE));
    }

    #[test]
    fn what_only_another_spec_can_mend_is_never_tried() {
        let mut history = History::default();
        let error = RuntimeError::new(ErrorCode::ExecFailed, "wrong format");
        history.failed(&error, at(0), |pause| pause);
        assert!(history.is_failed && history.is_final);
        assert!(!history.may_try(at(1_000_000)));
    }

    #[test]
    fn once_failed_it_stays_so_until_it_answers() {
        let mut history = History::default();
        let error = RuntimeError::new(ErrorCode::DiskFull, "full");
        history.failed(&error, at(0), |pause| pause);
        history.failed(&crash(), at(301), |pause| pause);
        assert!(history.is_failed, "no flapping between failed and starting");
        history.healthy(at(400));
        assert!(!history.is_failed);
    }
}
