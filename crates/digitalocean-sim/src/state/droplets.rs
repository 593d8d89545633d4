//! Droplets: what they are. What happens to them stands in the files below this one.

mod act;
mod create;
mod delete;
mod finish;
mod list;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

pub(crate) use act::Request;
pub(crate) use create::CreateDroplets;
pub(crate) use list::Filter;

use super::actions::BackupPolicy;
use super::ids::{ActionId, DropletId, ImageId, ProjectId};
use super::images::Image;
use super::regions::Region;
use super::sizes::Size;
use crate::dice::Dice;
use crate::machines::{Address, Limits};

const FIRST_ID: u64 = 520_000_000;

/// A droplet.
#[derive(Debug, Clone)]
pub(crate) struct Droplet {
    pub(crate) id: DropletId,
    pub(crate) name: String,
    pub(crate) region: &'static Region,
    pub(crate) size: &'static Size,
    /// Gigabytes. A resize without the disk leaves them as they are.
    pub(crate) disk: u32,
    pub(crate) image: Image,
    pub(crate) created_at: DateTime<Utc>,
    /// What it really is.
    pub(super) status: Status,
    /// What the API says it is: behind the truth for a moment after a power action.
    pub(crate) shown_status: Status,
    /// By an administrator of DigitalOcean. Not set by actions:
    /// <https://github.com/digitalocean/droplet_kit/issues/218>.
    pub(crate) locked: bool,
    /// Canonical names, in the order of tagging.
    pub(crate) tags: Vec<String>,
    pub(crate) monitoring: bool,
    pub(crate) backups: Option<BackupPolicy>,
    pub(crate) snapshots: Vec<ImageId>,
    pub(crate) public_networking: bool,
    pub(crate) private_ip: Ipv4Addr,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Of its machine, once there is one.
    pub(super) address: Option<Address>,
    /// Whether the API tells the public address already.
    pub(super) address_shown: bool,
    pub(crate) vpc: Uuid,
    pub(crate) project: ProjectId,
    pub(crate) assigned_at: DateTime<Utc>,
    pub(super) user_data: Option<SecretString>,
    pub(super) ssh_keys: Vec<String>,
    /// The action under way: there is at most one.
    pub(crate) pending: Option<ActionId>,
    pub(super) presence: Presence,
    pub(super) lag: Lag,
}

/// What a droplet is, in the API's words. `archive` never comes up here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    New,
    Active,
    Off,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Off => "off",
        }
    }
}

/// Whether it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Here,
    /// Deleted, and not gone yet.
    Leaving,
    /// 404. Some lists may still show it.
    Gone {
        since: DateTime<Utc>,
    },
}

/// How far lists are behind, for this droplet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    pub(super) by_tag: TimeDelta,
    pub(super) otherwise: TimeDelta,
}

/// A droplet as the admin address and tests see it: the truth, not what the API shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropletView {
    /// Its id.
    pub id: DropletId,
    /// Its name.
    pub name: String,
    /// `new`, `active` or `off`.
    pub status: String,
    /// Its size's slug.
    pub size: String,
    /// Its region's slug.
    pub region: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its machine's address, shown by the API or not.
    pub address: Option<Ipv4Addr>,
    /// Whether it was deleted and lingers.
    pub leaving: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// The action under way.
    pub pending: Option<ActionId>,
}

impl Droplet {
    /// The public address, once the API tells it.
    pub(crate) fn public_address(&self) -> Option<Address> {
        self.address.filter(|_| self.address_shown)
    }

    /// Whether its networks are told at all: nothing is, until it has been active.
    pub(crate) fn has_networks(&self) -> bool {
        self.status != Status::New
    }

    pub(super) fn exists(&self) -> bool {
        !matches!(self.presence, Presence::Gone { .. })
    }

    /// Its size, with its own disk.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            disk: self.disk,
            ..self.size.limits
        }
    }

    pub(crate) fn view(&self) -> DropletView {
        DropletView {
            id: self.id,
            name: self.name.clone(),
            status: self.status.name().to_owned(),
            size: self.size.slug.to_owned(),
            region: self.region.slug.to_owned(),
            tags: self.tags.clone(),
            created_at: self.created_at,
            address: self.address.map(|address| address.ip),
            leaving: self.presence == Presence::Leaving,
            locked: self.locked,
            pending: self.pending,
        }
    }
}

/// All droplets, and for a moment those that are gone.
#[derive(Debug)]
pub(crate) struct Droplets {
    by_id: BTreeMap<DropletId, Droplet>,
    /// By how much the addresses of some of them come later than others'.
    late: BTreeMap<DropletId, TimeDelta>,
    last: u64,
}

impl Default for Droplets {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            late: BTreeMap::new(),
            last: FIRST_ID,
        }
    }
}

impl Droplets {
    /// The droplet, if it exists.
    pub(crate) fn get(&self, id: DropletId) -> Option<&Droplet> {
        self.by_id.get(&id).filter(|droplet| droplet.exists())
    }

    pub(super) fn get_mut(&mut self, id: DropletId) -> Option<&mut Droplet> {
        self.by_id.get_mut(&id).filter(|droplet| droplet.exists())
    }

    /// All that exist, by id.
    pub(crate) fn existing(&self) -> impl Iterator<Item = &Droplet> {
        self.by_id.values().filter(|droplet| droplet.exists())
    }

    pub(super) fn existing_mut(&mut self) -> impl Iterator<Item = &mut Droplet> {
        self.by_id.values_mut().filter(|droplet| droplet.exists())
    }

    pub(super) fn show_address(&mut self, id: DropletId) {
        if let Some(droplet) = self.get_mut(id) {
            droplet.address_shown = true;
        }
    }

    pub(super) fn show_status(&mut self, id: DropletId) {
        if let Some(droplet) = self.get_mut(id) {
            droplet.shown_status = droplet.status;
        }
    }

    /// Drops what is left of a droplet that is gone.
    pub(super) fn forget(&mut self, id: DropletId) {
        if self.by_id.get(&id).is_some_and(|droplet| !droplet.exists()) {
            self.by_id.remove(&id);
        }
    }

    fn next_id(&mut self, dice: &mut Dice) -> DropletId {
        self.last += dice.step(9);
        DropletId(self.last)
    }
}

impl super::State {
    /// Locks a droplet, or unlocks it; false where there is none.
    pub(crate) fn lock_droplet(&mut self, id: DropletId, locked: bool) -> bool {
        match self.droplets.get_mut(id) {
            Some(droplet) => {
                droplet.locked = locked;
                true
            }
            None => false,
        }
    }
}
