//! One sliding window: how many requests may have reached the other side within a span of time.
//!
//! When a request arrives there is not known here, only that it is after it was sent and before it
//! was answered. So a request counts from its start until a whole span after its end. Whatever the
//! delays in between, no span of the other side's time then sees more than the limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    /// Requests under way.
    open: usize,
    /// When the others ended, oldest first; those older than the span are dropped.
    ended: VecDeque<Instant>,
}

impl Window {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            open: 0,
            ended: VecDeque::new(),
        }
    }

    /// When a request will find fewer than `limit` others: `now` or earlier if it does already.
    /// Where that hangs on requests that have not ended, it is the earliest time at which it can
    /// be.
    pub(super) fn free_at(&mut self, now: Instant, limit: usize) -> Instant {
        let used = self.count(now);
        if used < limit {
            return now;
        }
        // So many have to leave, and one more.
        let surplus = used - limit;
        self.ended
            .get(surplus)
            .map_or(now + self.span, |ended| *ended + self.span)
    }

    pub(super) fn start(&mut self) {
        self.open += 1;
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        self.ended.push_back(now);
    }

    /// Requests that count now.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.open + self.ended.len()
    }

    /// Requests under way.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    fn forget(&mut self, now: Instant) {
        while self
            .ended
            .front()
            .is_some_and(|ended| now.duration_since(*ended) >= self.span)
        {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    #[test]
    fn a_request_counts_from_its_start_until_a_span_after_its_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(SPAN);
        assert_eq!(window.free_at(at(0), 1), at(0));
        window.start();
        assert_eq!(window.free_at(at(5), 1), at(65), "not before it has ended");
        window.end(at(10));
        assert_eq!(window.free_at(at(30), 1), at(70));
        assert_eq!(
            window.free_at(at(30), 2),
            at(30),
            "there is room for a second one"
        );
        assert_eq!(window.free_at(at(70), 1), at(70));
    }

    #[test]
    fn a_smaller_limit_waits_for_as_many_to_leave() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(SPAN);
        for second in 0..5 {
            window.start();
            window.end(at(second));
        }
        assert_eq!(window.free_at(at(10), 6), at(10));
        assert_eq!(window.free_at(at(10), 5), at(60));
        assert_eq!(window.free_at(at(10), 3), at(62));
        assert_eq!(window.free_at(at(10), 1), at(64));
    }
}
