//! The simulated account: a state machine without I/O. Time comes in as an argument, chance from the
//! seed, and machines are asked for by [`Order`]s that somebody else carries out.
//!
//! [`State::advance`] carries out everything whose time has come, in the order of those times and as
//! of those times: whether the clock moves in one leap or in a thousand steps, the outcome is the
//! same. Requests come in between, at the time they are told.
//!
//! One file a noun. [`droplets`] is the heart: `create`, `act` (an action is requested), `finish` (it
//! ends), `delete`, `list`. What is to happen later stands in [`agenda`], what machines have to do in
//! [`machinery`].

mod account;
mod actions;
mod agenda;
mod droplets;
mod firewalls;
mod ids;
mod images;
mod keys;
mod machinery;
mod projects;
mod rate_limit;
mod regions;
mod sizes;
mod tags;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub(crate) use account::Account;
pub(crate) use actions::{Action, ActionKind, ActionStatus, Actions, BackupPlan, BackupPolicy};
use agenda::{Agenda, Event};
pub use droplets::DropletView;
pub(crate) use droplets::{CreateDroplets, Droplet, Droplets, Filter, Presence, Request, Status};
pub(crate) use firewalls::{
    Firewall, FirewallDraft, Firewalls, Protocol, Rule, RuleDraft, RuleTarget, TargetDraft,
};
pub use ids::{ActionId, DropletId};
pub(crate) use ids::{FirewallId, ImageId, KeyId, ProjectId};
pub(crate) use images::{Image, ImageChange, ImageFilter, ImageRef, Images, NewImage};
pub(crate) use keys::{Key, KeyRef, Keys};
use machinery::Machinery;
pub(crate) use machinery::{Order, Outcome, Work};
pub(crate) use projects::{Assignment, Project, ProjectChange, Projects, Stage};
pub(crate) use rate_limit::{Allowance, OverLimit, RateWindows};
pub(crate) use regions::{REGIONS, Region};
pub(crate) use sizes::{SIZES, Size};
pub(crate) use tags::{Tag, TaggedResource, Tags};

use crate::dice::Dice;
use crate::faults::{FaultPlan, Faults};
use crate::journal::Journal;
use crate::settings::{Settings, Token};

/// How many requests the journal keeps until it forgets the oldest.
const JOURNAL: usize = 100_000;

/// Everything that the simulated DigitalOcean knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) tokens: Vec<Token>,
    pub(crate) faults: Faults,
    pub(crate) dice: Dice,
    pub(crate) journal: Journal,
    pub(crate) windows: RateWindows,
    pub(crate) account: Account,
    pub(crate) droplets: Droplets,
    pub(crate) actions: Actions,
    pub(crate) firewalls: Firewalls,
    pub(crate) images: Images,
    pub(crate) keys: Keys,
    pub(crate) projects: Projects,
    pub(crate) tags: Tags,
    agenda: Agenda,
    machinery: Machinery,
}

impl State {
    /// An account without droplets, as of `now`.
    pub(crate) fn new(
        seed: u64,
        settings: Settings,
        tokens: Vec<Token>,
        faults: FaultPlan,
        now: DateTime<Utc>,
    ) -> Self {
        let mut dice = Dice::new(seed);
        let account = Account::new(&mut dice);
        let projects = Projects::new(&mut dice, &account, now);
        Self {
            settings,
            tokens,
            faults: Faults::new(faults),
            journal: Journal::new(JOURNAL),
            windows: RateWindows::default(),
            account,
            droplets: Droplets::default(),
            actions: Actions::default(),
            firewalls: Firewalls::default(),
            images: Images::default(),
            keys: Keys::default(),
            projects,
            tags: Tags::default(),
            agenda: Agenda::default(),
            machinery: Machinery::default(),
            dice,
        }
    }

    /// Lets everything happen whose time has come.
    pub(crate) fn advance(&mut self, now: DateTime<Utc>) {
        while let Some((at, event)) = self.agenda.next_until(now) {
            match event {
                Event::ActionDue(action) => self.action_due(at, action),
                Event::AddressShown(droplet) => self.droplets.show_address(droplet),
                Event::StatusShown(droplet) => self.droplets.show_status(droplet),
                Event::Vanish(droplet) => self.vanish(at, droplet),
                Event::Forget(droplet) => self.droplets.forget(droplet),
                Event::FirewallDue(firewall, generation) => {
                    self.firewall_due(firewall, generation);
                }
                Event::ImageReady(image) => self.images.ready(image),
            }
        }
    }

    /// Orders that can be carried out now. Each has to be [reported](Self::report).
    pub(crate) fn take_orders(&mut self) -> Vec<Order> {
        self.machinery.take_ready()
    }
}
