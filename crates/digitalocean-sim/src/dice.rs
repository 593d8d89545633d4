//! Randomness from a seed: one stream for each purpose, so that one fault rule more does not change
//! every id after it.
//!
//! Only whole words are taken from the generator and shaped here: how a library makes a range out of
//! them may change between its versions, and a seed has to mean the same run for years.

use std::time::Duration;

use chrono::TimeDelta;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use crate::settings::Delay;

/// The streams of one run.
#[derive(Debug)]
pub(crate) struct Dice {
    ids: ChaCha8Rng,
    delays: ChaCha8Rng,
    faults: ChaCha8Rng,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let stream = |number| {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            generator.set_stream(number);
            generator
        };
        Self {
            ids: stream(1),
            delays: stream(2),
            faults: stream(3),
        }
    }

    /// A random (version 4) UUID.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.ids.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A number from 1 to `most`: how far the next numeric id lies from the last.
    pub(crate) fn step(&mut self, most: u64) -> u64 {
        1 + self.ids.next_u64() % most
    }

    /// A time within `delay`, both ends included, to the millisecond.
    pub(crate) fn within(&mut self, delay: Delay) -> TimeDelta {
        let least = millis(delay.least);
        let width = millis(delay.most).saturating_sub(least);
        // Drawn even where there is nothing to choose, so that a changed setting moves nothing else.
        let drawn = self.delays.next_u64() % (width + 1);
        TimeDelta::milliseconds(i64::try_from(least + drawn).unwrap_or(i64::MAX / 2))
    }

    /// True with this probability (0 to 1).
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        // 53 bits are what fits a double exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let drawn = (self.faults.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_run() {
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            (dice.uuid(), dice.step(9), dice.happens(0.5), dice.uuid())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn what_is_drawn_for_one_purpose_moves_no_other() {
        let mut calm = Dice::new(7);
        let mut busy = Dice::new(7);
        busy.happens(0.5);
        busy.within(Delay::seconds(1, 9));
        assert_eq!(calm.uuid(), busy.uuid());
        busy.uuid();
        let delay = Delay::seconds(0, 1_000_000);
        calm.within(delay);
        assert_eq!(calm.within(delay), busy.within(delay));
    }

    #[test]
    fn delays_stay_within_their_bounds_and_reach_both() {
        let mut dice = Dice::new(1);
        let delay: Delay = "5ms..7ms".parse().unwrap();
        let drawn: std::collections::BTreeSet<_> = (0..100)
            .map(|_| dice.within(delay).num_milliseconds())
            .collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [5, 6, 7]);
    }

    #[test]
    fn certainty_and_impossibility_hold() {
        let mut dice = Dice::new(1);
        assert!((0..100).all(|_| dice.happens(1.0)));
        assert!(!(0..100).any(|_| dice.happens(0.0)));
    }
}
