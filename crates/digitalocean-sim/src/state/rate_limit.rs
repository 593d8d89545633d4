//! How many requests a token may send: two sliding windows, and one of its own for the list of keys.
//!
//! DigitalOcean: 5,000 an hour, 250 a minute; 429 in both cases, `retry-after` only for the minute.
//! Whether a refused request counts is unsettled; here it does not.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::settings::RateLimits;

const HOUR: TimeDelta = TimeDelta::hours(1);
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// The windows of every token, by its name.
#[derive(Debug, Default)]
pub(crate) struct RateWindows {
    callers: BTreeMap<String, Caller>,
}

#[derive(Debug, Default)]
struct Caller {
    /// Of the last hour, oldest first.
    requests: VecDeque<DateTime<Utc>>,
    /// Lists of keys in the last minute, oldest first.
    keys: VecDeque<DateTime<Utc>>,
}

/// What the `ratelimit-*` headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// When the oldest request of the window expires.
    pub(crate) reset: DateTime<Utc>,
}

/// Which window is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverLimit {
    Hourly,
    /// Try again after so many seconds.
    Burst(i64),
}

impl RateWindows {
    /// Counts a request of `caller`, or says why it is one too many.
    pub(crate) fn take(
        &mut self,
        caller: &str,
        lists_keys: bool,
        limits: RateLimits,
        now: DateTime<Utc>,
    ) -> (Allowance, Result<(), OverLimit>) {
        let caller = self.callers.entry(caller.to_owned()).or_default();
        expire(&mut caller.requests, now - HOUR);
        expire(&mut caller.keys, now - MINUTE);
        let over = caller.over(lists_keys, limits, now);
        if over.is_none() {
            caller.requests.push_back(now);
            if lists_keys {
                caller.keys.push_back(now);
            }
        }
        (
            caller.allowance(limits.hourly, now),
            over.map_or(Ok(()), Err),
        )
    }

    /// The allowance of a caller as it stands.
    pub(crate) fn peek(&mut self, caller: &str, hourly: u32, now: DateTime<Utc>) -> Allowance {
        let caller = self.callers.entry(caller.to_owned()).or_default();
        expire(&mut caller.requests, now - HOUR);
        caller.allowance(hourly, now)
    }
}

impl Caller {
    fn over(&self, lists_keys: bool, limits: RateLimits, now: DateTime<Utc>) -> Option<OverLimit> {
        if self.requests.len() >= limits.hourly as usize {
            return Some(OverLimit::Hourly);
        }
        let minute = self.requests.partition_point(|at| *at <= now - MINUTE);
        let burst = full(self.requests.range(minute..), limits.burst, now);
        let keys = lists_keys.then(|| full(self.keys.iter(), limits.keys, now));
        burst.max(keys.flatten()).map(OverLimit::Burst)
    }

    fn allowance(&self, hourly: u32, now: DateTime<Utc>) -> Allowance {
        let used = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        Allowance {
            limit: hourly,
            remaining: hourly.saturating_sub(used),
            reset: self.requests.front().copied().unwrap_or(now) + HOUR,
        }
    }
}

fn expire(window: &mut VecDeque<DateTime<Utc>>, until: DateTime<Utc>) {
    while window.front().is_some_and(|at| *at <= until) {
        window.pop_front();
    }
}

/// Seconds until there is room in a minute's window again, if it is full.
fn full<'a>(
    mut window: impl ExactSizeIterator<Item = &'a DateTime<Utc>>,
    limit: u32,
    now: DateTime<Utc>,
) -> Option<i64> {
    let limit = limit as usize;
    let over = window.len().checked_sub(limit)?;
    // With a limit of nothing there never is room: a minute is as good as any answer.
    let frees = window.nth(over).map_or(now, |at| *at) + MINUTE;
    let millis = (frees - now).num_milliseconds().max(0);
    Some((millis + 999) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RateLimits = RateLimits {
        hourly: 5,
        burst: 3,
        keys: 1,
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn the_minute_slides_and_says_when_to_come_back() {
        let mut windows = RateWindows::default();
        let mut take = |seconds| windows.take("a", false, LIMITS, at(seconds)).1;
        assert_eq!([take(0), take(10), take(20)], [Ok(()); 3]);
        assert_eq!(take(30), Err(OverLimit::Burst(30)));
        assert_eq!(take(59), Err(OverLimit::Burst(1)));
        assert_eq!(take(60), Ok(()));
        assert_eq!(take(61), Err(OverLimit::Burst(9)));
    }

    #[test]
    fn the_hour_slides_and_tells_what_remains() {
        let mut windows = RateWindows::default();
        for n in 0..5 {
            let (allowance, taken) = windows.take("a", false, LIMITS, at(n * 100));
            assert_eq!(taken, Ok(()));
            assert_eq!(i64::from(allowance.remaining), 4 - n);
            assert_eq!(allowance.reset, at(3600));
        }
        assert_eq!(
            windows.take("a", false, LIMITS, at(3599)).1,
            Err(OverLimit::Hourly)
        );
        let (allowance, taken) = windows.take("a", false, LIMITS, at(3600));
        assert_eq!((taken, allowance.reset), (Ok(()), at(3700)));
        assert_eq!(windows.take("b", false, LIMITS, at(3600)).1, Ok(()));
    }

    #[test]
    fn listing_keys_has_a_limit_of_its_own() {
        let mut windows = RateWindows::default();
        assert_eq!(windows.take("a", true, LIMITS, at(0)).1, Ok(()));
        assert_eq!(
            windows.take("a", true, LIMITS, at(1)).1,
            Err(OverLimit::Burst(59))
        );
        assert_eq!(windows.take("a", false, LIMITS, at(1)).1, Ok(()));
        assert_eq!(windows.take("a", true, LIMITS, at(60)).1, Ok(()));
    }
}
