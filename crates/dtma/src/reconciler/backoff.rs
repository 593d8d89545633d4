//! Growing pauses with jitter, so that many machines don't come back in step.

use std::time::Duration;

use agentopia_domain::Ambient;

/// Doubles from `first` to `longest`; each pause is 75 to 125 % of that.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Starts at `first`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            attempts: 0,
        }
    }

    /// The next pause.
    pub fn next(&mut self, ambient: &Ambient) -> Duration {
        let pause = exponential(self.first, self.longest, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        jitter(pause, ambient)
    }

    /// Starts again at the first pause.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// `first · 2^attempts`, at most `longest`.
#[must_use]
pub fn exponential(first: Duration, longest: Duration, attempts: u32) -> Duration {
    first
        .saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX))
        .min(longest)
}

/// 75 to 125 % of `pause`.
#[must_use]
pub fn jitter(pause: Duration, ambient: &Ambient) -> Duration {
    let random = u32::from(u16::from_le_bytes(ambient.random::<2>()));
    // 65,536 steps over half of the pause.
    pause * 3 / 4 + pause / 2 * random / (1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_never_fall_in_step() {
        let ambient = Ambient::system();
        let longest = Duration::from_secs(60);
        let mut backoff = Backoff::new(Duration::from_secs(1), longest);
        for attempt in 0..200 {
            let ideal = exponential(Duration::from_secs(1), longest, attempt);
            let pause = backoff.next(&ambient);
            assert!(
                pause >= ideal * 3 / 4 && pause <= ideal * 5 / 4,
                "{attempt}: {pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next(&ambient) <= Duration::from_millis(1250));
    }
}
