//! An action ends: the one place where a droplet changes.

use chrono::{DateTime, Utc};

use super::{DropletId, Presence, Status};
use crate::state::actions::{ActionKind, ActionStatus, Fate};
use crate::state::agenda::Event;
use crate::state::{ActionId, State};

impl State {
    /// Ends an action as its fate has it.
    pub(in crate::state) fn finish(&mut self, now: DateTime<Utc>, id: ActionId) {
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let (droplet, kind, fate) = (action.droplet, action.kind.clone(), action.fate);
        let before = action.before.take();
        action.completed_at = Some(now);
        action.status = match fate {
            Fate::Completes | Fate::NoEffect => ActionStatus::Completed,
            Fate::Errors | Fate::RollsBack | Fate::Never => ActionStatus::Errored,
        };
        if let Some(droplet) = self.droplets.get_mut(droplet) {
            droplet.pending = None;
            if let (Fate::RollsBack, Some(before)) = (fate, before) {
                // What others changed meanwhile (tags, project) stays.
                droplet.name = before.name;
                droplet.size = before.size;
                droplet.disk = before.disk;
                droplet.status = before.status;
                // Not what was shown then: that may have lagged behind, and nothing would correct it.
                droplet.shown_status = before.status;
                droplet.ipv6 = before.ipv6;
                droplet.backups = before.backups;
                droplet.snapshots = before.snapshots;
            }
            if matches!(kind, ActionKind::Destroy) && fate != Fate::Completes {
                // Its machine could not be removed: it is still there, and billed.
                droplet.presence = Presence::Here;
            }
        }
        if fate == Fate::Completes {
            self.take_effect(now, droplet, &kind);
        }
    }

    /// What an action does to its droplet.
    pub(super) fn take_effect(&mut self, now: DateTime<Utc>, id: DropletId, kind: &ActionKind) {
        match kind {
            ActionKind::Create => self.created(now, id),
            ActionKind::Destroy => self.gone(now, id),
            ActionKind::PowerOn | ActionKind::PowerCycle | ActionKind::Reboot => {
                self.turn(now, id, Status::Active);
            }
            ActionKind::PowerOff | ActionKind::Shutdown => self.turn(now, id, Status::Off),
            ActionKind::Resize { size, disk } => {
                self.turn(now, id, Status::Off);
                if let Some(droplet) = self.droplets.get_mut(id) {
                    droplet.size = size;
                    if *disk {
                        droplet.disk = size.limits.disk;
                    }
                }
            }
            ActionKind::Snapshot(name) => self.snapshot(now, id, name.as_deref()),
            ActionKind::PasswordReset => {}
            ActionKind::Rename(_)
            | ActionKind::EnableIpv6
            | ActionKind::EnableBackups(_)
            | ActionKind::DisableBackups
            | ActionKind::ChangeBackupPolicy(_) => {
                if let Some(droplet) = self.droplets.get_mut(id) {
                    droplet.reconfigure(kind);
                }
            }
        }
    }

    /// Turns a droplet on or off. The API shows it a little later.
    pub(in crate::state) fn turn(&mut self, now: DateTime<Utc>, id: DropletId, status: Status) {
        let lag = self.dice.within(self.settings.delays.status);
        if let Some(droplet) = self.droplets.get_mut(id)
            && droplet.status != status
        {
            droplet.status = status;
            self.agenda.put(now + lag, Event::StatusShown(id));
        }
    }

    fn created(&mut self, now: DateTime<Utc>, id: DropletId) {
        let lag = self.dice.within(self.settings.delays.address);
        let late = self.droplets.late.remove(&id).unwrap_or_default();
        if let Some(droplet) = self.droplets.get_mut(id) {
            droplet.status = Status::Active;
            droplet.shown_status = Status::Active;
            if droplet.public_networking {
                self.agenda.put(now + lag + late, Event::AddressShown(id));
            }
        }
    }

    fn snapshot(&mut self, now: DateTime<Utc>, id: DropletId, name: Option<&str>) {
        let Some(droplet) = self.droplets.get_mut(id) else {
            return;
        };
        let name = name.unwrap_or(&droplet.name);
        let image =
            self.images
                .add_snapshot(&droplet.image, name, droplet.disk, droplet.region, now);
        droplet.snapshots.push(image);
    }
}

impl super::Droplet {
    /// The effects that are of this droplet alone.
    fn reconfigure(&mut self, kind: &ActionKind) {
        match kind {
            ActionKind::Rename(name) => self.name.clone_from(name),
            ActionKind::EnableIpv6 => self.ipv6 = Some(super::create::ipv6(self.id)),
            ActionKind::EnableBackups(policy) | ActionKind::ChangeBackupPolicy(policy) => {
                self.backups = Some(*policy);
            }
            ActionKind::DisableBackups => self.backups = None,
            _ => {}
        }
    }
}
