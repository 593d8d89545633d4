//! The schedules that are not by chance: every step of what is done with a machine, with every fault
//! that a step can have, and then every such pair.
//!
//! The steps are not written down but observed: a scenario is run once without a fault, and what its
//! replicas did to the outside are its steps. For pairs the same is done with the first fault in
//! place, since what comes after it is another way then.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::conductor::{Blow, Effect, Kind, Strike};
use crate::run::WASTE;
use crate::schedule::{Act, Schedule};

/// Something that is done with a machine from beginning to end.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What people and fate do, and after how many seconds.
    acts: &'static [(u64, Act)],
    /// From which second on its steps count.
    from: u64,
    /// When faults end: long after the last step.
    until: u64,
    /// How many machines, from the first, fail at their first start, so that their owner has to try
    /// again.
    bad_starts: u32,
}

/// How long the owner waits before that: longer than one may go on paying for what failed.
const PATIENCE: Duration = WASTE.saturating_add(Duration::from_secs(60));

/// All of them.
pub const SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: "provision",
        acts: &[(0, Act::Enable(0))],
        from: 0,
        until: 100,
        bad_starts: 0,
    },
    Scenario {
        name: "deploy",
        acts: &[(0, Act::Enable(0)), (30, Act::DeployOpen(0))],
        from: 30,
        until: 80,
        bad_starts: 0,
    },
    Scenario {
        name: "rebuild",
        acts: &[
            (0, Act::Enable(0)),
            (1, Act::DeployOpen(0)),
            (40, Act::Destroy(0)),
        ],
        from: 40,
        until: 200,
        bad_starts: 0,
    },
    Scenario {
        name: "scale",
        acts: &[
            (0, Act::Enable(0)),
            (1, Act::Deploy(0)),
            (40, Act::Scale(0, "s-2vcpu-4gb")),
        ],
        from: 40,
        until: 180,
        bad_starts: 0,
    },
    Scenario {
        name: "remove",
        acts: &[
            (0, Act::Enable(0)),
            (1, Act::DeployOpen(0)),
            (40, Act::Disable(0)),
        ],
        from: 40,
        until: 90,
        bad_starts: 0,
    },
    Scenario {
        name: "close",
        acts: &[
            (0, Act::Enable(0)),
            (1, Act::DeployOpen(0)),
            (40, Act::Remove(0)),
        ],
        from: 40,
        until: 90,
        bad_starts: 0,
    },
    Scenario {
        name: "change of mind",
        acts: &[
            (0, Act::Enable(0)),
            (2, Act::Disable(0)),
            (5, Act::Enable(0)),
        ],
        from: 0,
        until: 120,
        bad_starts: 0,
    },
    Scenario {
        name: "outage",
        acts: &[
            (0, Act::Enable(0)),
            (2, Act::Outage(Duration::from_secs(60))),
        ],
        from: 0,
        until: 120,
        bad_starts: 0,
    },
    Scenario {
        name: "failed start",
        acts: &[(0, Act::Enable(0))],
        from: 0,
        until: 60,
        bad_starts: 1,
    },
];

impl Scenario {
    /// The one of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        SCENARIOS.into_iter().find(|scenario| scenario.name == name)
    }

    /// Its schedule with these faults. With more than one of them it is over with the last: nobody
    /// asks for the effects after that.
    #[must_use]
    pub fn schedule(&self, strikes: Vec<Strike>) -> Schedule {
        let seconds = Duration::from_secs;
        let acts = self.acts.iter().map(|(at, act)| (seconds(*at), *act));
        let mut schedule = Schedule::calm(1, acts.collect());
        schedule.turmoil = seconds(self.until);
        schedule.bad_starts = self.bad_starts;
        schedule.patience = PATIENCE;
        schedule.heals_itself = self.bad_starts == 0;
        schedule.ends_with_strikes = strikes.len() > 1;
        schedule.strikes = (seconds(self.from), strikes);
        schedule
    }
}

/// Every fault that can come after the last of `before`, in a run that had these effects.
pub(crate) fn next_strikes(effects: &[Effect], before: &[Strike]) -> Vec<Strike> {
    let first = before.last().map_or(1, |last| last.at + 1);
    let mut strikes = Vec::new();
    // A look that is repeated while one waits is a step once.
    let mut looked = BTreeSet::new();
    for (place, effect) in effects.iter().enumerate() {
        let at = place + 1;
        let blows: &[Blow] = match effect.kind {
            Kind::Look if !looked.insert(&effect.label) => &[],
            // Dying before or after is the same as dying at the next step that changes something.
            Kind::Look => &[Blow::Fails],
            Kind::Commit | Kind::Change => {
                looked.clear();
                &[
                    Blow::Fails,
                    Blow::CrashBefore,
                    Blow::CrashAfter,
                    Blow::Repeated,
                ]
            }
        };
        if at >= first {
            strikes.extend(blows.iter().map(|blow| Strike { at, blow: *blow }));
        }
    }
    strikes
}

/// What the step with this number was.
pub(crate) fn describe(effects: &[Effect], strike: Strike) -> String {
    let label = effects
        .get(strike.at - 1)
        .map_or("?", |effect| effect.label.as_str());
    format!("{:?} at {} ({label})", strike.blow, strike.at)
}
