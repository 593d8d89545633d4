//! Which requests are sent again, how often, and after what pause.
//!
//! Only what can be repeated without harm ([`Effect`]), and only after failures that pass by
//! themselves. Everything else is for the caller, whose reconciler comes round again anyway: this
//! is for blips, not for outages.

use std::time::Duration;

/// What sending a request twice would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it only reads.
    Read,
    /// The same as sending it once.
    Idempotent,
    /// Perhaps a second droplet. DigitalOcean has no idempotency keys and allows duplicate names,
    /// and a 503 was seen after which the droplet was made all the same.
    Once,
}

/// How often a request is sent at most. Four with the pauses below bridge the restart of a gateway;
/// who fails longer has an outage.
pub(crate) const ATTEMPTS: u32 = 4;
/// The longest first pause: about the time that a whole request takes.
const BASE: Duration = Duration::from_millis(500);
/// The longest pause: well below what a caller that holds a lease can wait.
const CAP: Duration = Duration::from_secs(8);

/// The pause after an attempt failed, the first being 0: anything between none and a limit that
/// doubles ("full jitter"), so that many who failed together don't come back together.
pub(crate) fn pause(attempt: u32, random: u64) -> Duration {
    let longest = BASE.saturating_mul(1 << attempt.min(16)).min(CAP);
    let share = (longest.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_anything_up_to_a_limit_that_doubles() {
        let millis = |attempt, random| pause(attempt, random).as_millis();
        for attempt in 0..20 {
            assert_eq!(millis(attempt, 0), 0);
        }
        let longest: Vec<u128> = (0..7).map(|attempt| millis(attempt, u64::MAX)).collect();
        assert_eq!(longest, [499, 999, 1999, 3999, 7999, 7999, 7999]);
        assert_eq!(millis(u32::MAX, u64::MAX), 7999);
        assert_eq!(millis(1, u64::MAX / 2), 499);
    }
}
