//! Which of the occasions that match a rule bite.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// At most one of `nth`, `every` and `probability`; without any of them every occasion bites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct When {
    choice: Choice,
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Choice {
    #[default]
    Always,
    Nth(u64),
    Every(u64),
    Probability(f64),
}

/// How it is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    /// Only the one with this number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    /// Each whose number this divides.
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    /// Each with this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// At most this many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

/// A [`When`] that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWhen {
    /// More than one way to choose.
    #[error("nth, every and probability exclude one another")]
    Several,
    /// Numbers begin at 1.
    #[error("nth and every begin at 1")]
    Zero,
    /// No such probability.
    #[error("a probability lies between 0 and 1")]
    Probability,
}

impl When {
    /// Every occasion.
    #[must_use]
    pub const fn always() -> Self {
        Self {
            choice: Choice::Always,
            count: None,
        }
    }

    /// Only the `nth` occasion, from 1.
    #[must_use]
    pub const fn nth(nth: u64) -> Self {
        Self {
            choice: Choice::Nth(nth),
            count: None,
        }
    }

    /// Each `n`th occasion.
    #[must_use]
    pub const fn every(n: u64) -> Self {
        Self {
            choice: Choice::Every(n),
            count: None,
        }
    }

    /// Each occasion with this probability.
    #[must_use]
    pub const fn probability(probability: f64) -> Self {
        Self {
            choice: Choice::Probability(probability),
            count: None,
        }
    }

    /// At most `count` times.
    #[must_use]
    pub const fn at_most(self, count: u64) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }
}

impl TryFrom<Written> for When {
    type Error = BadWhen;

    fn try_from(written: Written) -> Result<Self, BadWhen> {
        let choice = match (written.nth, written.every, written.probability) {
            (None, None, None) => Choice::Always,
            (Some(0), None, None) | (None, Some(0), None) => return Err(BadWhen::Zero),
            (Some(nth), None, None) => Choice::Nth(nth),
            (None, Some(every), None) => Choice::Every(every),
            (None, None, Some(p)) if (0.0..=1.0).contains(&p) => Choice::Probability(p),
            (None, None, Some(_)) => return Err(BadWhen::Probability),
            _ => return Err(BadWhen::Several),
        };
        Ok(Self {
            choice,
            count: written.count,
        })
    }
}

impl From<When> for Written {
    fn from(when: When) -> Self {
        let mut written = Self {
            count: when.count,
            ..Self::default()
        };
        match when.choice {
            Choice::Always => {}
            Choice::Nth(nth) => written.nth = Some(nth),
            Choice::Every(every) => written.every = Some(every),
            Choice::Probability(probability) => written.probability = Some(probability),
        }
        written
    }
}

/// What has a [`When`].
pub(super) trait Rule {
    fn when(&self) -> When;
}

/// A rule with its counters.
#[derive(Debug)]
pub(super) struct Armed<R> {
    pub(super) rule: R,
    seen: u64,
    bitten: u64,
}

impl<R: Rule> Armed<R> {
    pub(super) fn new(rule: R) -> Self {
        Self {
            rule,
            seen: 0,
            bitten: 0,
        }
    }

    /// Counts an occasion that matches and says whether it bites. One that is not `free`, because
    /// another rule has bitten, is counted and does not.
    pub(super) fn bites(&mut self, free: bool, dice: &mut Dice) -> bool {
        self.seen += 1;
        let When { choice, count } = self.rule.when();
        let chosen = match choice {
            Choice::Always => true,
            Choice::Nth(nth) => self.seen == nth,
            Choice::Every(every) => self.seen.is_multiple_of(every),
            Choice::Probability(probability) => dice.happens(probability),
        };
        let bites = free && chosen && count.is_none_or(|count| self.bitten < count);
        self.bitten += u64::from(bites);
        bites
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Rule for When {
        fn when(&self) -> When {
            *self
        }
    }

    fn bitten(when: When, occasions: u64) -> Vec<u64> {
        let mut armed = Armed::new(when);
        let mut dice = Dice::new(1);
        (1..=occasions)
            .filter(|_| armed.bites(true, &mut dice))
            .collect()
    }

    #[test]
    fn occasions_are_chosen_and_capped() {
        assert_eq!(bitten(When::always(), 3), [1, 2, 3]);
        assert_eq!(bitten(When::always().at_most(2), 3), [1, 2]);
        assert_eq!(bitten(When::nth(2), 5), [2]);
        assert_eq!(bitten(When::every(2), 5), [2, 4]);
        assert_eq!(bitten(When::every(2).at_most(1), 5), [2]);
        assert_eq!(bitten(When::probability(0.0), 50), [] as [u64; 0]);
        let some = bitten(When::probability(0.5), 100).len();
        assert!((30..70).contains(&some), "{some}");
    }

    #[test]
    fn contradictions_are_refused() {
        let read = |text: &str| toml::from_str::<When>(text).map_err(|e| e.message().to_owned());
        assert_eq!(read("nth = 2\ncount = 1"), Ok(When::nth(2).at_most(1)));
        assert_eq!(
            read("nth = 2\nevery = 2"),
            Err(BadWhen::Several.to_string())
        );
        assert_eq!(read("every = 0"), Err(BadWhen::Zero.to_string()));
        assert_eq!(
            read("probability = 1.5"),
            Err(BadWhen::Probability.to_string())
        );
        assert!(read("nht = 1").unwrap_err().contains("unknown field"));
    }
}
