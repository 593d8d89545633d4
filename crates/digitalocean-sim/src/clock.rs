//! The simulator's clock: one that was handed in, moved and stopped at will.
//!
//! A program hands in the machine's clock and lets its admin address move it; a deterministic
//! simulation hands in its own virtual clock and leaves this one alone.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde::Serialize;

/// A clock that runs along another one until it is moved or stopped. It never goes back.
#[derive(Debug)]
pub struct SteeredClock {
    base: Arc<dyn Clock>,
    steering: Mutex<Steering>,
}

#[derive(Debug, Clone, Copy)]
struct Steering {
    /// How far ahead of the base it runs.
    ahead: TimeDelta,
    /// Where it stands, while it is stopped.
    stopped_at: Option<DateTime<Utc>>,
}

/// What the admin address says of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClockReading {
    /// The simulator's time.
    pub now: DateTime<Utc>,
    /// Whether it stands still.
    pub stopped: bool,
}

impl SteeredClock {
    /// A clock that runs with `base`.
    #[must_use]
    pub fn new(base: Arc<dyn Clock>) -> Self {
        Self {
            base,
            steering: Mutex::new(Steering {
                ahead: TimeDelta::zero(),
                stopped_at: None,
            }),
        }
    }

    /// Stops it where it is. Stopping twice changes nothing.
    pub fn stop(&self) {
        let mut steering = self.steering.lock();
        if steering.stopped_at.is_none() {
            steering.stopped_at = Some(self.base.now() + steering.ahead);
        }
    }

    /// Lets it run on from where it stands.
    pub fn start(&self) {
        let mut steering = self.steering.lock();
        if let Some(stood) = steering.stopped_at.take() {
            steering.ahead = stood - self.base.now();
        }
    }

    /// Moves it forward, running or stopped.
    pub fn advance(&self, by: Duration) {
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX / 2);
        let mut steering = self.steering.lock();
        match &mut steering.stopped_at {
            Some(stood) => *stood += by,
            None => steering.ahead += by,
        }
    }

    /// Its time, and whether it stands.
    #[must_use]
    pub fn reading(&self) -> ClockReading {
        let steering = *self.steering.lock();
        ClockReading {
            now: steering
                .stopped_at
                .unwrap_or_else(|| self.base.now() + steering.ahead),
            stopped: steering.stopped_at.is_some(),
        }
    }
}

impl Clock for SteeredClock {
    fn now(&self) -> DateTime<Utc> {
        self.reading().now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Base(Mutex<DateTime<Utc>>);

    impl Clock for Base {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock()
        }
    }

    #[test]
    fn it_runs_along_stops_and_goes_on_without_a_jump() {
        let second = TimeDelta::seconds(1);
        let base = Arc::new(Base(Mutex::new(DateTime::UNIX_EPOCH)));
        let clock = SteeredClock::new(base.clone());
        *base.0.lock() += second;
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH + second);
        clock.advance(Duration::from_secs(9));
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH + second * 10);
        clock.stop();
        *base.0.lock() += second * 100;
        clock.stop();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH + second * 12);
        clock.start();
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH + second * 12);
        *base.0.lock() += second;
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH + second * 13);
    }
}
