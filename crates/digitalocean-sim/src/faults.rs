//! Faults on order: what goes wrong, when, and how often.
//!
//! A [`FaultPlan`] comes from a TOML file, over the admin address or from code. It holds
//!
//! * rules for requests ([`RequestRule`]): a 429, 5xx or lost answer for calls of one kind, before or
//!   after their side effect;
//! * rules for resources ([`ResourceRule`]): a droplet that never leaves `new`, one that vanishes, an
//!   action that ends `errored`, a deletion that is survived;
//! * [`Rates`]: the same things at random, drawn from the seed.
//!
//! [`When`] says which occasions of a rule bite. Rules are asked before rates, the first that bites
//! wins, and every rule counts the occasions that match it whether or not an earlier one has bitten:
//! `nth = 2` means the second such call, not the second that was left over.

mod path;
mod rates;
mod request;
mod resource;
mod when;

use serde::{Deserialize, Serialize};

pub use path::PathPattern;
pub use rates::Rates;
pub use request::{Answer, AnswerLost, RequestFault, RequestRule, SideEffect};
pub use resource::{Occasion, ResourceFault, ResourceRule};
pub use when::{BadWhen, When};

pub(crate) use resource::{Bitten, Subject};
use when::Armed;

use crate::dice::Dice;

/// What goes wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// Faults of requests, in the order in which they are asked.
    pub request: Vec<RequestRule>,
    /// Faults of resources, likewise.
    pub resource: Vec<ResourceRule>,
    /// Faults at random.
    pub rates: Rates,
}

/// A plan with its counters.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    request: Vec<Armed<RequestRule>>,
    resource: Vec<Armed<ResourceRule>>,
    rates: Rates,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        Self {
            request: plan.request.into_iter().map(Armed::new).collect(),
            resource: plan.resource.into_iter().map(Armed::new).collect(),
            rates: plan.rates,
        }
    }

    /// One rule more, asked after those that are there.
    pub(crate) fn add_request(&mut self, rule: RequestRule) {
        self.request.push(Armed::new(rule));
    }

    /// One rule more, asked after those that are there.
    pub(crate) fn add_resource(&mut self, rule: ResourceRule) {
        self.resource.push(Armed::new(rule));
    }

    pub(crate) fn plan(&self) -> FaultPlan {
        FaultPlan {
            request: self
                .request
                .iter()
                .map(|armed| armed.rule.clone())
                .collect(),
            resource: self
                .resource
                .iter()
                .map(|armed| armed.rule.clone())
                .collect(),
            rates: self.rates.clone(),
        }
    }

    /// The fault of this request, if any.
    pub(crate) fn of_request(
        &mut self,
        method: &str,
        path: &str,
        dice: &mut Dice,
    ) -> Option<RequestFault> {
        let mut bitten = None;
        for armed in &mut self.request {
            if armed.rule.matches(method, path) && armed.bites(bitten.is_none(), dice) {
                bitten = Some(armed.rule.fault());
            }
        }
        bitten.or_else(|| self.rates.of_request(dice))
    }

    /// The fault of this resource on this occasion, if any.
    pub(crate) fn of_resource(
        &mut self,
        occasion: Occasion<'_>,
        subject: &Subject<'_>,
        dice: &mut Dice,
    ) -> Option<Bitten> {
        let mut bitten = None;
        for armed in &mut self.resource {
            if armed.rule.matches(occasion, subject) && armed.bites(bitten.is_none(), dice) {
                bitten = Some(armed.rule.bitten());
            }
        }
        bitten.or_else(|| self.rates.of_resource(occasion, dice))
    }
}
