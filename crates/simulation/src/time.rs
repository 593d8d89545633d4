//! Virtual time: tokio's paused clock, and the clocks of replicas that are wrong by a little.

use std::time::Duration;

use agentopia_domain::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// When every schedule begins, in seconds since 1970 (January 2027).
const EPOCH: i64 = 1_800_000_000;

/// A clock that goes with virtual time and is wrong by a fixed amount.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VirtualClock {
    start: Instant,
    wrong_by: TimeDelta,
}

impl VirtualClock {
    /// A right clock. Has to be made at the beginning of a schedule, within its runtime.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            wrong_by: TimeDelta::zero(),
        }
    }

    /// The same, wrong by so many milliseconds.
    pub(crate) fn wrong_by(self, millis: i64) -> Self {
        Self {
            wrong_by: TimeDelta::milliseconds(millis),
            ..self
        }
    }

    /// How long the schedule has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.start.elapsed()).unwrap_or(TimeDelta::MAX);
        DateTime::from_timestamp(EPOCH, 0).unwrap_or_default() + elapsed + self.wrong_by
    }
}
