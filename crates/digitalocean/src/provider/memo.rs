//! What was seen lately, so that reconcilers may look as often as they like.
//!
//! A reconciler that waits for a machine looks twice a second; DigitalOcean gives a token 5,000
//! requests an hour. So an answer is good for a while: a short one while the machine is being made,
//! a longer one while it runs, when heartbeats tell sooner than DigitalOcean whether it is well.
//! What changes a machine here forgets it.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_cloud::{Machine, MachineState, Sought};
use agentopia_domain::EnvironmentId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a machine is believed to be as it was, while it changes.
const CHANGING: Duration = Duration::from_secs(5);
/// The same while it runs.
const STEADY: Duration = Duration::from_secs(60);
/// How often extras of a machine that runs are looked for; while it is made, with every look.
const EXTRAS: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Memo {
    machines: Mutex<HashMap<EnvironmentId, Seen>>,
    /// Since when nothing was found of an environment that is being deleted.
    empty_since: Mutex<HashMap<EnvironmentId, Instant>>,
}

#[derive(Debug, Clone)]
struct Seen {
    machine: Machine,
    at: Instant,
    /// When extras were last looked for.
    extras_at: Option<Instant>,
}

impl Memo {
    /// The machine, if it was seen lately and is the one that is sought.
    pub(super) fn fresh(&self, sought: Sought<'_>) -> Option<Machine> {
        let machines = self.machines.lock();
        let seen = machines.get(&sought.environment)?;
        let limit = match seen.machine.state {
            MachineState::Running => STEADY,
            MachineState::Starting | MachineState::Off => CHANGING,
        };
        let same = sought.known.is_none_or(|known| known == seen.machine.id);
        (same && seen.at.elapsed() < limit).then(|| seen.machine.clone())
    }

    /// Whether it is time to look for extras.
    pub(super) fn extras_due(&self, environment: EnvironmentId) -> bool {
        let machines = self.machines.lock();
        machines.get(&environment).is_none_or(|seen| {
            seen.machine.state != MachineState::Running
                || seen.extras_at.is_none_or(|at| at.elapsed() >= EXTRAS)
        })
    }

    pub(super) fn saw(&self, environment: EnvironmentId, machine: &Machine, extras: bool) {
        let now = Instant::now();
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

    /// Notes that nothing was found; tells for how long that has been so.
    pub(super) fn empty_for(&self, environment: EnvironmentId) -> Duration {
        let mut since = self.empty_since.lock();
        since
            .entry(environment)
            .or_insert_with(Instant::now)
            .elapsed()
    }

    /// Something was found, or nothing is sought any more.
    pub(super) fn not_empty(&self, environment: EnvironmentId) {
        self.empty_since.lock().remove(&environment);
    }
}
