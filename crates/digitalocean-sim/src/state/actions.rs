//! Actions: what was asked of a droplet, and how far it has come.
//!
//! An action ends when its time has come and its machine has answered, whichever is later. What it
//! does to its droplet then stands in `droplets::finish`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::agenda::Event;
use super::ids::{ActionId, DropletId};
use super::machinery::Outcome;
use super::regions::Region;
use super::sizes::Size;
use super::{Droplet, State};
use crate::dice::Dice;
use crate::settings::{Delay, Delays};

/// Ids begin beyond what fits 31 bits, as they do at DigitalOcean.
const FIRST_ID: u64 = 2_400_000_000;

/// An action.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) id: ActionId,
    pub(crate) kind: ActionKind,
    pub(crate) status: ActionStatus,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
    pub(crate) droplet: DropletId,
    pub(crate) region: &'static Region,
    pub(super) fate: Fate,
    /// Its time has come.
    due: bool,
    /// Orders it waits for.
    orders: u32,
    /// The droplet as it was, for an action that is rolled back.
    pub(super) before: Option<Box<Droplet>>,
}

/// What is asked of a droplet.
#[derive(Debug, Clone)]
pub(crate) enum ActionKind {
    Create,
    Destroy,
    PowerOn,
    PowerOff,
    PowerCycle,
    Reboot,
    Shutdown,
    Resize {
        size: &'static Size,
        /// Whether the disk grows too, for good.
        disk: bool,
    },
    Rename(String),
    EnableIpv6,
    EnableBackups(BackupPolicy),
    DisableBackups,
    ChangeBackupPolicy(BackupPolicy),
    PasswordReset,
    Snapshot(Option<String>),
}

/// When backups are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupPolicy {
    #[serde(default)]
    pub(crate) plan: BackupPlan,
    /// The hour at which the window begins.
    #[serde(default)]
    pub(crate) hour: u32,
}

impl Default for BackupPolicy {
    fn default() -> Self {
        Self {
            plan: BackupPlan::Daily,
            hour: 0,
        }
    }
}

/// How often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BackupPlan {
    #[default]
    Daily,
    Weekly,
}

/// How far an action has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionStatus {
    InProgress,
    Completed,
    Errored,
}

/// How an action will end, decided when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// As it should.
    Completes,
    /// It completes and has changed nothing.
    NoEffect,
    /// It errs and has changed nothing.
    Errors,
    /// It takes effect, errs, and is undone.
    RollsBack,
    /// Never.
    Never,
}

impl ActionKind {
    /// Its `type` in the API.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Destroy => "destroy",
            Self::PowerOn => "power_on",
            Self::PowerOff => "power_off",
            Self::PowerCycle => "power_cycle",
            Self::Reboot => "reboot",
            Self::Shutdown => "shutdown",
            Self::Resize { .. } => "resize",
            Self::Rename(_) => "rename",
            Self::EnableIpv6 => "enable_ipv6",
            Self::EnableBackups(_) => "enable_backups",
            Self::DisableBackups => "disable_backups",
            Self::ChangeBackupPolicy(_) => "change_backup_policy",
            Self::PasswordReset => "password_reset",
            Self::Snapshot(_) => "snapshot",
        }
    }

    fn delay(&self, delays: &Delays) -> Delay {
        match self {
            Self::Create => delays.create,
            Self::Destroy => delays.delete,
            Self::PowerOn | Self::PowerOff | Self::PowerCycle | Self::Reboot => delays.power,
            Self::Shutdown => delays.shutdown,
            Self::Resize { .. } => delays.resize,
            Self::Rename(_)
            | Self::EnableIpv6
            | Self::EnableBackups(_)
            | Self::DisableBackups
            | Self::ChangeBackupPolicy(_)
            | Self::PasswordReset
            | Self::Snapshot(_) => delays.other_action,
        }
    }
}

/// All actions there ever were.
#[derive(Debug)]
pub(crate) struct Actions {
    by_id: BTreeMap<ActionId, Action>,
    last: u64,
}

impl Default for Actions {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            last: FIRST_ID,
        }
    }
}

impl Actions {
    pub(crate) fn get(&self, id: ActionId) -> Option<&Action> {
        self.by_id.get(&id)
    }

    /// Newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Action> {
        self.by_id.values().rev()
    }

    /// A droplet's, newest first.
    pub(crate) fn of(&self, droplet: DropletId) -> impl Iterator<Item = &Action> {
        self.all().filter(move |action| action.droplet == droplet)
    }

    pub(super) fn get_mut(&mut self, id: ActionId) -> Option<&mut Action> {
        self.by_id.get_mut(&id)
    }

    fn next_id(&mut self, dice: &mut Dice) -> ActionId {
        self.last += dice.step(40);
        ActionId(self.last)
    }
}

impl State {
    /// Begins an action. It becomes the droplet's pending event.
    pub(super) fn begin(
        &mut self,
        now: DateTime<Utc>,
        droplet: DropletId,
        kind: ActionKind,
        fate: Fate,
    ) -> Option<ActionId> {
        let delay = kind.delay(&self.settings.delays);
        let takes = self.dice.within(delay);
        let id = self.actions.next_id(&mut self.dice);
        let subject = self.droplets.get_mut(droplet)?;
        subject.pending = Some(id);
        let action = Action {
            id,
            kind,
            status: ActionStatus::InProgress,
            started_at: now,
            completed_at: None,
            droplet,
            region: subject.region,
            fate,
            due: false,
            orders: 0,
            before: None,
        };
        self.actions.by_id.insert(id, action);
        if fate != Fate::Never {
            self.agenda.put(now + takes, Event::ActionDue(id));
        }
        Some(id)
    }

    /// Gives an order that an action waits for.
    pub(super) fn order(&mut self, droplet: DropletId, work: super::Work, action: ActionId) {
        if let Some(action) = self.actions.get_mut(action) {
            action.orders += 1;
        }
        self.machinery.order(droplet, work, Some(action));
    }

    /// An action's time has come.
    pub(super) fn action_due(&mut self, at: DateTime<Utc>, id: ActionId) {
        if let Some(action) = self.actions.get_mut(id) {
            action.due = true;
        }
        self.end_if_ripe(at, id);
    }

    /// One of the orders that an action waits for is done.
    pub(super) fn order_done(&mut self, now: DateTime<Utc>, id: ActionId, outcome: Outcome) {
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        action.orders = action.orders.saturating_sub(1);
        match outcome {
            Outcome::Done | Outcome::Booted(_) => {}
            Outcome::StillUp => action.fate = Fate::NoEffect,
            Outcome::Failed => action.fate = Fate::Errors,
        }
        self.end_if_ripe(now, id);
    }

    fn end_if_ripe(&mut self, now: DateTime<Utc>, id: ActionId) {
        let ripe = self.actions.get(id).is_some_and(|action| {
            action.status == ActionStatus::InProgress && action.due && action.orders == 0
        });
        if ripe {
            self.finish(now, id);
        }
    }
}
