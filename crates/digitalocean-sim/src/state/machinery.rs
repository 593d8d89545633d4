//! What machines have to do: orders, one at a time for each droplet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use super::ids::{ActionId, DropletId};
use super::{Presence, State};
use crate::machines::{Address, Limits, MachinePlan};

/// Something that a machine has to do.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) droplet: DropletId,
    pub(crate) work: Work,
    /// The action that waits for it.
    action: Option<ActionId>,
}

/// What exactly.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    Boot(Box<MachinePlan>),
    PowerOff,
    ShutDown,
    PowerOn,
    Resize(Limits),
    Destroy,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The machine is on and has this address.
    Booted(Address),
    /// Asked to shut down, and still up.
    StillUp,
    Failed,
}

/// Orders that wait, and those that are being carried out.
#[derive(Debug, Default)]
pub(super) struct Machinery {
    waiting: VecDeque<Order>,
    /// By id.
    under_way: BTreeMap<u64, Order>,
    given: u64,
}

impl Machinery {
    /// Queues an order; `action` waits for it.
    pub(super) fn order(&mut self, droplet: DropletId, work: Work, action: Option<ActionId>) {
        self.given += 1;
        self.waiting.push_back(Order {
            id: self.given,
            droplet,
            work,
            action,
        });
    }

    /// Takes the first order of every droplet that has none under way.
    pub(super) fn take_ready(&mut self) -> Vec<Order> {
        let mut busy: BTreeSet<_> = self.under_way.values().map(|order| order.droplet).collect();
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|order| busy.insert(order.droplet));
        self.waiting = waiting.into();
        for order in &ready {
            self.under_way.insert(order.id, order.clone());
        }
        ready
    }
}

impl State {
    /// Goes on counting orders where an earlier state stopped, so that what comes in late of those is
    /// not taken for ours.
    pub(crate) fn count_orders_on(&mut self, earlier: &Self) {
        self.machinery.given = earlier.machinery.given;
    }

    /// What has become of an order. False for one from before a reset: it is nobody's any more.
    pub(crate) fn report(&mut self, now: DateTime<Utc>, order: u64, outcome: Outcome) -> bool {
        let Some(order) = self.machinery.under_way.remove(&order) else {
            return false;
        };
        if let Outcome::Booted(address) = outcome
            && let Some(droplet) = self.droplets.get_mut(order.droplet)
        {
            droplet.address = Some(address);
        }
        if let Some(action) = order.action {
            self.order_done(now, action, outcome);
        }
        true
    }

    /// A machine went off by itself.
    pub(crate) fn machine_stopped(&mut self, now: DateTime<Utc>, droplet: DropletId) {
        let idle = |droplet: &super::Droplet| {
            droplet.pending.is_none() && matches!(droplet.presence, Presence::Here)
        };
        if self.droplets.get(droplet).is_some_and(idle) {
            self.turn(now, droplet, super::Status::Off);
        }
    }
}
