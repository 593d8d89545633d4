//! The next step of a change of version. Pure.

use std::time::Duration;

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;
use agentopia_domain::versions::{How, Stage};

use crate::reconcilers::instance::plan::Machine;

/// How soon to look again where nothing tells of news.
const SOON: Duration = Duration::from_secs(1);

/// All that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// How far it is, as it was written down.
    pub stage: &'a Stage,
    /// Beside or in place.
    pub how: How,
    /// Whether the instance is to run at all.
    pub wanted: bool,
    /// Whether the time is over in which the new one had to prove itself.
    pub late: bool,
    /// The generation of what is wanted.
    pub generation: i64,
    /// What the machine says of the place that serves.
    pub serving: Machine,
    /// What it says of the other one.
    pub spare: Machine,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Hand the machine what is wanted in the place that does not serve.
    Put(DesiredInstance),
    /// The old one is gone: write down that the new one may be started.
    Start,
    /// Ask the new one for its tools; then write down that it serves, or that it is given up.
    Judge,
    /// Write down that it is given up, for this reason and what the machine says.
    Abandon(&'static str),
    /// Write down that it is over.
    Finish,
    /// Wait until the machine reports another phase of the place that does not serve.
    Watch,
    /// Look again after this long.
    Wait(Duration),
}

/// Decides.
#[must_use]
pub fn plan(seen: &Seen<'_>) -> Step {
    match seen.stage {
        Stage::Vacating | Stage::Starting if !seen.wanted => {
            Step::Abandon("its owner does not want it to run any more")
        }
        Stage::Vacating | Stage::Starting if seen.late => Step::Abandon("it was not ready in time"),
        Stage::Vacating => match seen.serving {
            Machine::Reports {
                generation,
                phase: Phase::Stopped,
            } if generation >= seen.generation => Step::Start,
            Machine::Unknown => Step::Start,
            _ => Step::Wait(SOON),
        },
        Stage::Starting => starting(seen),
        Stage::Moved => leaving(seen, DesiredInstance::Stopped),
        Stage::Abandoning { .. } => leaving(seen, DesiredInstance::Removed { purge_data: false }),
    }
}

fn starting(seen: &Seen<'_>) -> Step {
    match seen.spare {
        Machine::Absent | Machine::Unreachable => Step::Wait(SOON),
        Machine::Unknown => Step::Put(DesiredInstance::Running),
        Machine::Reports { generation, .. } if generation < seen.generation => {
            Step::Put(DesiredInstance::Running)
        }
        Machine::Reports { phase, .. } => match phase {
            Phase::Running => Step::Judge,
            Phase::Failed => Step::Abandon("it does not come up"),
            _ => Step::Watch,
        },
    }
}

/// Has the place that does not serve emptied.
fn leaving(seen: &Seen<'_>, wish: DesiredInstance) -> Step {
    match seen.spare {
        Machine::Absent | Machine::Unreachable => Step::Wait(SOON),
        // The machine was made anew.
        Machine::Unknown => Step::Finish,
        Machine::Reports { generation, .. } if generation < seen.generation => Step::Put(wish),
        Machine::Reports {
            phase: Phase::Stopped,
            ..
        } if wish == DesiredInstance::Stopped => Step::Finish,
        Machine::Reports {
            phase: Phase::Removed,
            ..
        } => Step::Finish,
        Machine::Reports { .. } => Step::Watch,
    }
}
