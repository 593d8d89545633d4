//! Which droplets a firewall is for, and how a change reaches them: `waiting` with its
//! `pending_changes`, then `succeeded`, or `failed`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Firewall, FirewallStatus};
use crate::state::agenda::Event;
use crate::state::ids::{DropletId, FirewallId};
use crate::state::{Droplet, Droplets, State};

impl Firewall {
    /// Whether it is for this droplet, by its id or by one of its tags.
    pub(crate) fn covers(&self, droplet: &Droplet) -> bool {
        self.droplets.contains(&droplet.id)
            || droplet.tags.iter().any(|tag| self.tags.contains(tag))
    }

    fn members(&self, droplets: &Droplets) -> BTreeSet<DropletId> {
        droplets
            .existing()
            .filter(|droplet| self.covers(droplet))
            .map(|droplet| droplet.id)
            .collect()
    }
}

impl State {
    /// Something else has changed (a tag, a droplet): firewalls follow where they have to.
    pub(in crate::state) fn stir_firewalls(&mut self, now: DateTime<Utc>) {
        let ids: Vec<_> = self.firewalls.all().map(|firewall| firewall.id).collect();
        for id in ids {
            self.spread(now, id, false, false);
        }
    }

    /// Begins to bring a firewall to its droplets: to all of them if it has itself changed, else to
    /// those that have come or gone.
    pub(super) fn spread(
        &mut self,
        now: DateTime<Utc>,
        id: FirewallId,
        changed: bool,
        fails: bool,
    ) {
        let Ok(firewall) = self.firewalls.get_mut(id) else {
            return;
        };
        let members = firewall.members(&self.droplets);
        let mut pending: BTreeMap<_, _> = members
            .iter()
            .filter(|droplet| changed || !firewall.settled.contains(droplet))
            .map(|droplet| (*droplet, false))
            .collect();
        pending.extend(
            firewall
                .settled
                .difference(&members)
                .map(|gone| (*gone, true)),
        );
        if !changed && pending == firewall.pending {
            return;
        }
        firewall.pending = pending;
        firewall.status = FirewallStatus::Waiting;
        firewall.fails = fails || (firewall.fails && !changed);
        firewall.generation += 1;
        let event = Event::FirewallDue(id, firewall.generation);
        let takes = self.dice.within(self.settings.delays.firewall);
        self.agenda.put(now + takes, event);
    }

    /// A change has reached its droplets, or has failed to.
    pub(in crate::state) fn firewall_due(&mut self, id: FirewallId, generation: u64) {
        let Ok(firewall) = self.firewalls.get_mut(id) else {
            return;
        };
        if firewall.generation != generation {
            return;
        }
        if firewall.fails {
            firewall.status = FirewallStatus::Failed;
            return;
        }
        firewall.settled = firewall.members(&self.droplets);
        firewall.pending.clear();
        firewall.status = FirewallStatus::Succeeded;
    }
}
