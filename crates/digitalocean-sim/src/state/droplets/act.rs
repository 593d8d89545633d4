//! An action is requested: who may not, what is checked, and which orders its machine gets.

use chrono::{DateTime, Utc};

use super::{Droplet, DropletId, Presence, Status};
use crate::faults::{Occasion, ResourceFault, Subject};
use crate::refusal::Refusal;
use crate::settings::{RedundantPower, ResizeWhileOn};
use crate::state::actions::{ActionKind, Fate};
use crate::state::sizes::Size;
use crate::state::{ActionId, State, Work};

const PENDING: &str = "Droplet already has a pending event.";

/// An action as it is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// One that needs nothing looked up.
    Simple(ActionKind),
    /// A resize, to the size with this slug.
    Resize { size: Option<String>, disk: bool },
    /// The API has it, the simulator has not.
    Unsimulated(&'static str),
}

impl State {
    /// Begins an action on a droplet.
    ///
    /// # Errors
    /// 404 where there is no such droplet, 422 where it can't be done (now).
    pub(crate) fn act(
        &mut self,
        now: DateTime<Utc>,
        id: DropletId,
        request: &Request,
    ) -> Result<ActionId, Refusal> {
        let droplet = self.droplets.get(id).ok_or_else(Refusal::not_found)?;
        check_free(droplet)?;
        if droplet.status == Status::New {
            return Err(Refusal::unprocessable("Droplet is not ready for actions."));
        }
        let kind = self.check_request(droplet, request)?;
        let subject = Subject {
            droplet: Some(id.0),
            name: &droplet.name,
            tags: &droplet.tags,
        };
        let occasion = Occasion::Action(kind.name());
        let bitten = self.faults.of_resource(occasion, &subject, &mut self.dice);
        let fate = match bitten.map(|bitten| bitten.fault) {
            Some(ResourceFault::ResizeRefused) => {
                return Err(Refusal::unprocessable(
                    "Size is too large to fit on your droplet's server",
                ));
            }
            Some(ResourceFault::ActionErrored) => Fate::Errors,
            Some(ResourceFault::ActionRolledBack) => Fate::RollsBack,
            Some(ResourceFault::ShutdownIgnored) => Fate::NoEffect,
            _ => Fate::Completes,
        };
        let (before, orders) = (Box::new(droplet.clone()), orders(droplet, &kind));
        let action = self
            .begin(now, id, kind.clone(), fate)
            .ok_or_else(Refusal::not_found)?;
        match fate {
            Fate::Completes => {
                for work in orders {
                    self.order(id, work, action);
                }
            }
            Fate::RollsBack => {
                // It shows right away; the machine is left alone, as all of it will be undone.
                self.take_effect(now, id, &kind);
                self.droplets.show_status(id);
                if let Some(action) = self.actions.get_mut(action) {
                    action.before = Some(before);
                }
            }
            Fate::NoEffect | Fate::Errors | Fate::Never => {}
        }
        Ok(action)
    }

    /// The same for every droplet with a tag. Those that can't are left out.
    ///
    /// # Errors
    /// 404 where there is no such tag.
    pub(crate) fn act_by_tag(
        &mut self,
        now: DateTime<Utc>,
        tag: &str,
        request: &Request,
    ) -> Result<Vec<ActionId>, Refusal> {
        let tagged = self.droplets_with_tag(tag)?;
        Ok(tagged
            .into_iter()
            .filter_map(|id| self.act(now, id, request).ok())
            .collect())
    }

    fn check_request(&self, droplet: &Droplet, request: &Request) -> Result<ActionKind, Refusal> {
        match request {
            Request::Simple(kind) => {
                if let ActionKind::Rename(name) = kind {
                    super::create::check_name(name)?;
                }
                self.check_power(droplet, kind)?;
                Ok(kind.clone())
            }
            Request::Resize { size, disk } => self.check_resize(droplet, size.as_deref(), *disk),
            Request::Unsimulated(name) => Err(Refusal::unprocessable(format!(
                "This simulator does not simulate `{name}`."
            ))),
        }
    }

    fn check_power(&self, droplet: &Droplet, kind: &ActionKind) -> Result<(), Refusal> {
        let redundant = match kind {
            ActionKind::PowerOn => droplet.status == Status::Active,
            ActionKind::PowerOff | ActionKind::Shutdown => droplet.status == Status::Off,
            _ => false,
        };
        match self.settings.redundant_power {
            RedundantPower::Refuse if redundant => Err(Refusal::unprocessable(format!(
                "Droplet is already {}.",
                droplet.status.name()
            ))),
            RedundantPower::Refuse | RedundantPower::Accept => Ok(()),
        }
    }

    fn check_resize(
        &self,
        droplet: &Droplet,
        size: Option<&str>,
        disk: bool,
    ) -> Result<ActionKind, Refusal> {
        let size = size
            .and_then(Size::find)
            .filter(|size| size.available)
            .ok_or_else(|| {
                Refusal::unprocessable("You specified an invalid size for Droplet resize.")
            })?;
        let on = droplet.status == Status::Active;
        if on && self.settings.resize_while_on == ResizeWhileOn::Refuse {
            return Err(Refusal::unprocessable(
                "Droplet must be powered off before it can be resized.",
            ));
        }
        if !size.is_in(droplet.region) {
            return Err(Refusal::unprocessable(
                "Size is not available in this region.",
            ));
        }
        // Whatever `disk` says: what is on the droplet's disk has to fit.
        if size.limits.disk < droplet.disk {
            return Err(Refusal::unprocessable(
                "Size can not decrease size of Droplet's disk image",
            ));
        }
        if size.slug == droplet.size.slug && (!disk || size.limits.disk == droplet.disk) {
            return Err(Refusal::unprocessable("Droplet already has this size."));
        }
        Ok(ActionKind::Resize { size, disk })
    }
}

/// Nothing under way, and not locked.
pub(super) fn check_free(droplet: &Droplet) -> Result<(), Refusal> {
    if droplet.locked {
        return Err(Refusal::unprocessable("Droplet is locked."));
    }
    if droplet.pending.is_some() || droplet.presence == Presence::Leaving {
        return Err(Refusal::unprocessable(PENDING));
    }
    Ok(())
}

/// What the machine has to do for an action, in this order.
fn orders(droplet: &Droplet, kind: &ActionKind) -> Vec<Work> {
    let on = droplet.status == Status::Active;
    match kind {
        ActionKind::PowerOn => vec![Work::PowerOn],
        ActionKind::PowerOff => vec![Work::PowerOff],
        ActionKind::Shutdown if on => vec![Work::ShutDown],
        ActionKind::PowerCycle => vec![Work::PowerOff, Work::PowerOn],
        ActionKind::Reboot if on => vec![Work::ShutDown, Work::PowerOn],
        ActionKind::Reboot => vec![Work::PowerOn],
        ActionKind::Resize { size, disk } => {
            let mut limits = size.limits;
            if !disk {
                limits.disk = droplet.disk;
            }
            let off = on.then_some(Work::PowerOff);
            off.into_iter().chain([Work::Resize(limits)]).collect()
        }
        ActionKind::Create
        | ActionKind::Destroy
        | ActionKind::Shutdown
        | ActionKind::Rename(_)
        | ActionKind::EnableIpv6
        | ActionKind::EnableBackups(_)
        | ActionKind::DisableBackups
        | ActionKind::ChangeBackupPolicy(_)
        | ActionKind::PasswordReset
        | ActionKind::Snapshot(_) => vec![],
    }
}
