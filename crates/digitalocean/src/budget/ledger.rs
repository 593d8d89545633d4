//! Whether a request may go now, and if not, when: pure logic, the time handed in.
//!
//! Three things are asked, and the latest answer counts:
//!
//! * our own windows: what we sent, against the limits per hour and per minute;
//! * what DigitalOcean last said is left, since others may use the same token;
//! * a pause that DigitalOcean asked for with a 429.
//!
//! Ordinary requests leave a tenth of each limit to urgent ones; urgent ones take half of each
//! limit at most. So neither can keep the other out for ever.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::RateHeaders;
use super::window::Window;

/// DigitalOcean may measure in whole seconds, so our windows are a little longer than its own.
const MARGIN: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// How long "nothing is left" is believed. `ratelimit-remaining` is zero for the hour and for a
/// burst alike, and only the former can last longer than this; one request then looks again.
const BELIEF: Duration = MINUTE;
/// The shortest pause after a 429: a reset that lies in the past must not make us hammer.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The limits of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any hour. Answers tell it too, and are believed.
    pub per_hour: usize,
    /// Requests in any minute.
    pub per_minute: usize,
    /// Lists of SSH keys in any minute.
    pub keys_per_minute: usize,
}

/// As the contract's introduction has them, under "Rate Limit".
impl Default for Limits {
    fn default() -> Self {
        Self {
            per_hour: 5000,
            per_minute: 250,
            keys_per_minute: 10,
        }
    }
}

/// Who waits for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Requests that can wait.
    Ordinary,
    /// Requests that should not: deletions, and what the caller says.
    Urgent,
    /// Lists of SSH keys, before they join one of the others.
    Keys,
}

/// A request that may go. Grows with every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Serial(u64);

#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    hour: Window,
    minute: Window,
    urgent_hour: Window,
    urgent_minute: Window,
    keys: Window,
    /// No request before this.
    paused_until: Option<Instant>,
    /// No list of keys before this.
    keys_paused_until: Option<Instant>,
    told: Option<Told>,
    last: u64,
}

/// What DigitalOcean said is left.
#[derive(Debug)]
struct Told {
    /// With the answer to this request.
    by: Serial,
    /// How many are left now, counting what was sent since.
    left: usize,
    /// When it is no longer believed that too few are left.
    look_again: Instant,
}

impl Ledger {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            hour: Window::new(HOUR + MARGIN),
            minute: Window::new(MINUTE + MARGIN),
            urgent_hour: Window::new(HOUR + MARGIN),
            urgent_minute: Window::new(MINUTE + MARGIN),
            keys: Window::new(MINUTE + MARGIN),
            paused_until: None,
            keys_paused_until: None,
            told: None,
            last: 0,
        }
    }

    /// Lets the next request of a queue go, or says when to ask again.
    pub(super) fn start(&mut self, now: Instant, queue: Queue) -> Result<Serial, Instant> {
        let free = self.free_at(now, queue);
        if free > now {
            return Err(free);
        }
        match queue {
            Queue::Keys => self.keys.start(),
            Queue::Ordinary | Queue::Urgent => self.start_general(now, queue),
        }
        self.last += 1;
        Ok(Serial(self.last))
    }

    fn start_general(&mut self, now: Instant, queue: Queue) {
        self.hour.start();
        self.minute.start();
        if queue == Queue::Urgent {
            self.urgent_hour.start();
            self.urgent_minute.start();
        }
        let floor = self.floor(queue);
        if let Some(told) = &mut self.told {
            if told.left <= floor {
                // This is the one that looks again; the others wait for what it is told.
                told.look_again = now + BELIEF;
            }
            told.left = told.left.saturating_sub(1);
        }
    }

    /// A request has ended, answered or not.
    pub(super) fn end(&mut self, now: Instant, queue: Queue) {
        match queue {
            Queue::Keys => self.keys.end(now),
            Queue::Ordinary | Queue::Urgent => {
                self.hour.end(now);
                self.minute.end(now);
                if queue == Queue::Urgent {
                    self.urgent_hour.end(now);
                    self.urgent_minute.end(now);
                }
            }
        }
    }

    /// Takes in what an answer said. Call it after [`Self::end`] of that request.
    pub(super) fn told(&mut self, now: Instant, by: Serial, headers: &RateHeaders) {
        if let Some(limit) = headers.limit.filter(|limit| *limit > 0) {
            self.limits.per_hour = limit;
            // "5% of the hourly total" (contract).
            self.limits.per_minute = (limit / 20).max(1);
        }
        let Some(remaining) = headers.remaining else {
            return;
        };
        // Those under way may be counted in it already, or not: take them as not.
        let left = remaining.saturating_sub(self.hour.open());
        // Answers overtake each other: an older one is believed if it is worse.
        if self
            .told
            .as_ref()
            .is_none_or(|told| by > told.by || left < told.left)
        {
            let belief = headers
                .reset_in
                .map_or(BELIEF, |reset| reset.clamp(MIN_PAUSE, BELIEF));
            self.told = Some(Told {
                by: self.told.as_ref().map_or(by, |told| told.by.max(by)),
                left,
                look_again: now + belief,
            });
        }
    }

    /// Takes in a 429. Gives the time from which on it is worth trying again.
    pub(super) fn limited(
        &mut self,
        now: Instant,
        by: Serial,
        headers: &RateHeaders,
        keys: bool,
    ) -> Instant {
        let pause = headers
            .retry_after
            .or(headers.reset_in)
            .unwrap_or(BELIEF)
            .clamp(MIN_PAUSE, HOUR);
        let until = now + pause;
        // The list of keys has a limit of its own; something left of the general one tells which.
        if keys && headers.remaining.is_some_and(|remaining| remaining > 0) {
            self.keys_paused_until = self.keys_paused_until.max(Some(until));
        } else {
            self.paused_until = self.paused_until.max(Some(until));
            // When the pause is over, one request looks before the others follow.
            self.told = Some(Told {
                by,
                left: 0,
                look_again: until,
            });
        }
        until
    }

    /// When a queue's next request may go; `now` or earlier if it may already.
    pub(super) fn free_at(&mut self, now: Instant, queue: Queue) -> Instant {
        if queue == Queue::Keys {
            let free = self.keys.free_at(now, self.limits.keys_per_minute);
            return free.max(self.keys_paused_until.unwrap_or(free));
        }
        let Limits {
            per_hour,
            per_minute,
            ..
        } = self.limits;
        let mut free = now.max(self.paused_until.unwrap_or(now));
        match queue {
            Queue::Urgent => {
                free = free
                    .max(self.hour.free_at(now, per_hour))
                    .max(self.minute.free_at(now, per_minute))
                    .max(self.urgent_hour.free_at(now, half(per_hour)))
                    .max(self.urgent_minute.free_at(now, half(per_minute)));
            }
            _ => {
                free = free
                    .max(self.hour.free_at(now, per_hour - reserve(per_hour)))
                    .max(self.minute.free_at(now, per_minute - reserve(per_minute)));
            }
        }
        let floor = self.floor(queue);
        match &self.told {
            Some(told) if told.left <= floor => free.max(told.look_again),
            _ => free,
        }
    }

    /// How many requests are left this hour, as far as is known, and how many an hour has.
    pub(super) fn left(&mut self, now: Instant) -> (usize, usize) {
        let per_hour = self.limits.per_hour;
        let ours = per_hour.saturating_sub(self.hour.count(now));
        // What was told counts those of others too.
        let told = self.told.as_ref().map_or(ours, |told| told.left);
        (ours.min(told), per_hour)
    }

    /// How many of what is left a queue has to leave to others.
    fn floor(&self, queue: Queue) -> usize {
        match queue {
            Queue::Ordinary => reserve(self.limits.per_hour),
            Queue::Urgent | Queue::Keys => 0,
        }
    }
}

/// What ordinary requests leave to urgent ones.
fn reserve(limit: usize) -> usize {
    limit / 10
}

/// What urgent requests take at most.
fn half(limit: usize) -> usize {
    (limit / 2).max(1)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
