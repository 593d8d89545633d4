//! What an answer says about the rate limits, as spans of time.
//!
//! `ratelimit-reset` is a time of day by DigitalOcean's clock, so it is taken relative to the
//! `Date` of the same answer: the clocks of two machines are never compared. It has been seen lying
//! in the past.

use std::time::Duration;

use chrono::DateTime;
use http::{HeaderMap, header};

/// No limit of DigitalOcean's lasts longer; a header that says so is wrong.
const LONGEST: Duration = Duration::from_secs(3600);

/// The headers of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RateHeaders {
    /// Requests an hour.
    pub(crate) limit: Option<usize>,
    /// How many of them are left, before this limit or the one per minute is met.
    pub(crate) remaining: Option<usize>,
    /// How long until the oldest request is forgotten.
    pub(crate) reset_in: Option<Duration>,
    /// How long to wait; with a burst only.
    pub(crate) retry_after: Option<Duration>,
}

impl RateHeaders {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let reset = number(headers, "ratelimit-reset");
        let reset_in = reset.zip(date(headers)).map(|(reset, date)| {
            // In the past is as good as now.
            span(reset.saturating_sub(date))
        });
        Self {
            limit: number(headers, "ratelimit-limit").and_then(|value| value.try_into().ok()),
            remaining: number(headers, "ratelimit-remaining")
                .and_then(|value| value.try_into().ok()),
            reset_in,
            retry_after: number(headers, "retry-after").map(span),
        }
    }
}

fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn date(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    date.timestamp().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> RateHeaders {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        RateHeaders::read(&headers)
    }

    #[test]
    fn the_reset_is_taken_by_the_clock_of_the_answer() {
        // The headers of a real answer, from a trace of doctl.
        let headers = read(&[
            ("date", "Fri, 21 Jul 2023 01:48:05 GMT"),
            ("ratelimit-limit", "5000"),
            ("ratelimit-remaining", "4988"),
            ("ratelimit-reset", "1689907151"),
        ]);
        assert_eq!(
            headers,
            RateHeaders {
                limit: Some(5000),
                remaining: Some(4988),
                reset_in: Some(Duration::from_secs(3066)),
                retry_after: None,
            }
        );
    }

    #[test]
    fn a_reset_in_the_past_is_now_and_one_without_a_date_unknown() {
        let date = ("date", "Fri, 21 Jul 2023 01:48:05 GMT");
        assert_eq!(
            read(&[date, ("ratelimit-reset", "1689904000")]).reset_in,
            Some(Duration::ZERO)
        );
        assert_eq!(read(&[("ratelimit-reset", "1689907151")]).reset_in, None);
    }

    #[test]
    fn nonsense_is_nothing() {
        let headers = read(&[
            ("ratelimit-limit", "many"),
            ("ratelimit-remaining", "-1"),
            ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ]);
        assert_eq!(headers, RateHeaders::default());
        let endless = read(&[("retry-after", "18446744073709551615")]);
        assert_eq!(endless.retry_after, Some(LONGEST));
        assert_eq!(
            read(&[("retry-after", "29")]).retry_after,
            Some(Duration::from_secs(29))
        );
    }
}
