//! Faults at random: how likely each is, drawn from the seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::request::{Answer, RequestFault, SideEffect};
use super::resource::{Bitten, Occasion, ResourceFault};
use crate::dice::Dice;

/// Probabilities, 0 to 1. What is not named does not happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Of each request.
    pub request: BTreeMap<Answer, f64>,
    /// How many of the faults of requests come after their side effect.
    pub after_side_effect: f64,
    /// Of each resource, on each occasion for it.
    pub resource: BTreeMap<ResourceFault, f64>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            request: BTreeMap::new(),
            after_side_effect: 0.5,
            resource: BTreeMap::new(),
        }
    }
}

impl Rates {
    /// Every fault of a resource with this probability, and any fault of a request with this
    /// probability in sum.
    #[must_use]
    pub fn everything(probability: f64) -> Self {
        let answers = [
            Answer::TooManyBurst,
            Answer::TooManyHourly,
            Answer::ServerError,
            Answer::BadGateway,
            Answer::Unavailable,
            Answer::GatewayTimeout,
            Answer::Closed,
            Answer::Silent,
        ];
        let each = probability / 8.0;
        Self {
            request: answers.map(|answer| (answer, each)).into(),
            resource: ResourceFault::ALL.map(|fault| (fault, probability)).into(),
            ..Self::default()
        }
    }

    pub(super) fn of_request(&self, dice: &mut Dice) -> Option<RequestFault> {
        let mut bitten = None;
        for (answer, probability) in &self.request {
            // All are drawn, so that each has its own probability and none hides another's draw.
            if dice.happens(*probability) && bitten.is_none() {
                bitten = Some(*answer);
            }
        }
        let answer = bitten?;
        let side_effect = if dice.happens(self.after_side_effect) {
            SideEffect::After
        } else {
            SideEffect::Before
        };
        Some(RequestFault {
            answer,
            side_effect,
        })
    }

    pub(super) fn of_resource(&self, occasion: Occasion<'_>, dice: &mut Dice) -> Option<Bitten> {
        let mut bitten = None;
        for (fault, probability) in &self.resource {
            if fault.can_bite(occasion) && dice.happens(*probability) && bitten.is_none() {
                bitten = Some(Bitten::usual(*fault));
            }
        }
        bitten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_bite_about_as_often_as_they_say() {
        let rates = Rates::everything(0.2);
        let mut dice = Dice::new(3);
        let bitten: Vec<_> = (0..1000)
            .filter_map(|_| rates.of_request(&mut dice))
            .collect();
        assert!((120..280).contains(&bitten.len()), "{}", bitten.len());
        let after = bitten
            .iter()
            .filter(|fault| fault.side_effect == SideEffect::After)
            .count();
        assert!(after > bitten.len() / 4 && after < bitten.len() * 3 / 4);
    }

    #[test]
    fn only_what_fits_the_occasion_bites() {
        let rates = Rates::everything(1.0);
        let bitten = rates.of_resource(Occasion::Delete, &mut Dice::new(1));
        assert_eq!(bitten.map(|b| b.fault), Some(ResourceFault::Survivor));
    }
}
