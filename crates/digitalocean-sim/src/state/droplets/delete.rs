//! Droplets go: deleted, deleted by tag, vanished, destroyed behind everybody's back.

use chrono::{DateTime, Utc};

use super::{DropletId, Presence, act};
use crate::faults::{Occasion, ResourceFault, Subject};
use crate::refusal::Refusal;
use crate::state::actions::{ActionKind, ActionStatus, Fate};
use crate::state::agenda::Event;
use crate::state::{State, Work};

impl State {
    /// Deletes a droplet. It lingers, and answers 404 when it is gone and its machine with it.
    ///
    /// # Errors
    /// 404 where there is no such droplet, 422 while something else is under way.
    pub(crate) fn delete_droplet(
        &mut self,
        now: DateTime<Utc>,
        id: DropletId,
    ) -> Result<(), Refusal> {
        let droplet = self.droplets.get(id).ok_or_else(Refusal::not_found)?;
        let stuck = droplet
            .pending
            .and_then(|action| self.actions.get(action))
            .is_some_and(|action| action.fate == Fate::Never);
        // One that is stuck in `new` could never be removed otherwise.
        if !stuck || droplet.locked {
            act::check_free(droplet)?;
        }
        let subject = Subject {
            droplet: Some(id.0),
            name: &droplet.name,
            tags: &droplet.tags,
        };
        let bitten = self
            .faults
            .of_resource(Occasion::Delete, &subject, &mut self.dice);
        if bitten.is_some_and(|bitten| bitten.fault == ResourceFault::Survivor) {
            return Ok(());
        }
        self.abandon_actions(now, id);
        if let Some(droplet) = self.droplets.get_mut(id) {
            droplet.presence = Presence::Leaving;
        }
        if let Some(action) = self.begin(now, id, ActionKind::Destroy, Fate::Completes) {
            self.order(id, Work::Destroy, action);
        }
        Ok(())
    }

    /// Deletes every droplet with a tag. Those that are busy stay, and nobody is told.
    ///
    /// # Errors
    /// 404 where there is no such tag.
    pub(crate) fn delete_by_tag(&mut self, now: DateTime<Utc>, tag: &str) -> Result<(), Refusal> {
        for id in self.droplets_with_tag(tag)? {
            // A droplet that can't be deleted now is what a mass deletion leaves behind.
            let _ = self.delete_droplet(now, id);
        }
        Ok(())
    }

    /// A droplet is gone at once, without a request.
    pub(crate) fn vanish(&mut self, now: DateTime<Utc>, id: DropletId) {
        if self.droplets.get(id).is_none() {
            return;
        }
        self.abandon_actions(now, id);
        self.machinery.order(id, Work::Destroy, None);
        self.gone(now, id);
    }

    /// A droplet exists no more. Lists may show it a little longer.
    pub(super) fn gone(&mut self, now: DateTime<Utc>, id: DropletId) {
        self.droplets.late.remove(&id);
        if let Some(droplet) = self.droplets.get_mut(id) {
            droplet.presence = Presence::Gone { since: now };
            let until = now + droplet.lag.by_tag.max(droplet.lag.otherwise);
            self.agenda.put(until, Event::Forget(id));
        }
        self.firewalls.remove_droplet(id);
        self.stir_firewalls(now);
    }

    /// Whatever was under way ends here.
    fn abandon_actions(&mut self, now: DateTime<Utc>, id: DropletId) {
        let Some(droplet) = self.droplets.get_mut(id) else {
            return;
        };
        let pending = droplet.pending.take();
        if let Some(action) = pending.and_then(|action| self.actions.get_mut(action)) {
            action.status = ActionStatus::Errored;
            action.completed_at = Some(now);
        }
    }
}
