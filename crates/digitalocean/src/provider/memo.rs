//! What was seen lately, so that reconcilers may look as often as they like.
//!
//! A reconciler that waits for a machine looks twice a second; DigitalOcean gives a token 5,000
//! requests an hour. So an answer is good for a while: a short one while the machine is being made,
//! a longer one while it runs, when heartbeats tell sooner than DigitalOcean whether it is well.
//! What changes a machine here forgets it. The clock is the one that was handed in.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_cloud::{Machine, MachineState, Sought};
use agentopia_domain::{Ambient, EnvironmentId};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// How long a machine is believed to be as it was, while it changes.
const CHANGING: Duration = Duration::from_secs(5);
/// The same while it runs.
const STEADY: Duration = Duration::from_secs(60);
/// How long a machine counts as changing after it was last said so.
const UNREST: Duration = Duration::from_secs(60);
/// How often extras of a machine that runs are looked for; while it is made, with every look.
const EXTRAS: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Memo {
    ambient: Ambient,
    machines: Mutex<HashMap<EnvironmentId, Seen>>,
    /// Since when nothing was found of an environment that is being deleted.
    empty_since: Mutex<HashMap<EnvironmentId, DateTime<Utc>>>,
    /// When an environment's machine was last said to be changing.
    changing: Mutex<HashMap<EnvironmentId, DateTime<Utc>>>,
}

#[derive(Debug, Clone)]
struct Seen {
    machine: Machine,
    at: DateTime<Utc>,
    /// When extras were last looked for.
    extras_at: Option<DateTime<Utc>>,
}

impl Memo {
    pub(super) fn new(ambient: Ambient) -> Self {
        Self {
            ambient,
            machines: Mutex::default(),
            empty_since: Mutex::default(),
            changing: Mutex::default(),
        }
    }

    /// How long ago something was. What the clock has not come to yet counts as long ago: a clock
    /// that was set back must not keep what was seen for longer than it is good.
    fn age(&self, at: DateTime<Utc>) -> Duration {
        (self.ambient.now() - at).to_std().unwrap_or(Duration::MAX)
    }

    /// The machine, if it was seen lately and is the one that is sought.
    pub(super) fn fresh(&self, sought: Sought<'_>) -> Option<Machine> {
        let machines = self.machines.lock();
        let seen = machines.get(&sought.environment)?;
        let limit = match seen.machine.state {
            MachineState::Running if !self.is_changing(sought.environment) => STEADY,
            MachineState::Running | MachineState::Starting | MachineState::Off => CHANGING,
        };
        let same = sought.known.is_none_or(|known| known == seen.machine.id);
        (same && self.age(seen.at) < limit).then(|| seen.machine.clone())
    }

    /// Whether it is time to look for extras.
    pub(super) fn extras_due(&self, environment: EnvironmentId) -> bool {
        let machines = self.machines.lock();
        machines.get(&environment).is_none_or(|seen| {
            seen.machine.state != MachineState::Running
                || seen.extras_at.is_none_or(|at| self.age(at) >= EXTRAS)
        })
    }

    pub(super) fn saw(&self, environment: EnvironmentId, machine: &Machine, extras: bool) {
        let now = self.ambient.now();
        let mut machines = self.machines.lock();
        let before = machines.get(&environment).and_then(|seen| seen.extras_at);
        let seen = Seen {
            machine: machine.clone(),
            at: now,
            extras_at: if extras { Some(now) } else { before },
        };
        machines.insert(environment, seen);
    }

    pub(super) fn forget(&self, environment: EnvironmentId) {
        self.machines.lock().remove(&environment);
    }

    /// Something is being done to the machine that will show soon.
    pub(super) fn changes(&self, environment: EnvironmentId) {
        let now = self.ambient.now();
        let before = self.changing.lock().insert(environment, now);
        if before.is_none_or(|at| self.age(at) >= UNREST) {
            self.forget(environment);
        }
    }

    fn is_changing(&self, environment: EnvironmentId) -> bool {
        let changing = self.changing.lock();
        changing
            .get(&environment)
            .is_some_and(|at| self.age(*at) < UNREST)
    }

    /// Notes that nothing was found; tells for how long that has been so.
    pub(super) fn empty_for(&self, environment: EnvironmentId) -> Duration {
        let now = self.ambient.now();
        let since = *self.empty_since.lock().entry(environment).or_insert(now);
        // A clock that was set back must not make it longer than it was.
        (now - since).to_std().unwrap_or_default()
    }

    /// Something was found, or nothing is sought any more.
    pub(super) fn not_empty(&self, environment: EnvironmentId) {
        self.empty_since.lock().remove(&environment);
    }
}
