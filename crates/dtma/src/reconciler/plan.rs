//! What to do next for one instance: a pure function of what is wanted, what is there, and what
//! happened so far. Every step is named with its reason; `apply` does it, then the plan is asked
//! again, until there is nothing to do.

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;
use agentopia_domain::spec::InstanceSpec;

use super::history::{History, Instant};
use crate::runtime::{ExitInfo, RunState, RuntimeInstance, spec_hash};

/// What this process of the DTMA knows of what it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Grip {
    /// Nothing was started or taken over yet.
    #[default]
    None,
    /// Started or taken over; not yet seen to answer.
    Started,
    /// Seen to answer.
    Healthy,
}

/// Everything that the plan depends on.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// What is wanted.
    pub(super) spec: &'a InstanceSpec,
    /// What the runtime has.
    pub(super) observed: Option<&'a RuntimeInstance>,
    /// What we did in this process.
    pub(super) grip: &'a Grip,
    /// What happened so far.
    pub(super) history: &'a History,
    /// Whether it is time to say (again) who may reach its port and where it may go to.
    pub(super) admission_due: bool,
    /// Whether the control plane found a clone of this machine: nothing new is started.
    pub(super) locked: bool,
    /// Now.
    pub(super) now: Instant,
}

/// Why something is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartReason {
    /// There is nothing.
    Wanted,
    /// What is there was made from another spec.
    Changed,
    /// It ended, or its start was cut off.
    Ended,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Fetch what is needed, replace what is there, and see that it answers.
    Start(StartReason),
    /// Take over what an earlier process of the DTMA started.
    Adopt,
    /// See whether it answers.
    Probe,
    /// Let those reach its port whom the spec names, and it go where the spec lets it.
    Admit,
    /// It was running and is not any more: write the failure down.
    NoteCrash(ExitInfo),
    /// Stop it.
    Stop,
    /// Take it away.
    Remove {
        /// Its data too.
        purge_data: bool,
    },
    /// Nothing to do until something changes, or until the time given.
    Rest {
        /// What to report.
        phase: Phase,
        /// When to look again at the latest.
        until: Option<Instant>,
    },
}

/// Decides.
#[must_use]
pub(super) fn plan(situation: &Situation<'_>) -> Step {
    match situation.spec.desired {
        DesiredInstance::Removed { purge_data } => Step::Remove { purge_data },
        DesiredInstance::Stopped => match situation.observed.map(|observed| &observed.state) {
            None | Some(RunState::Exited(_)) => rest(Phase::Stopped),
            Some(RunState::Running | RunState::Partial) => Step::Stop,
        },
        DesiredInstance::Running => run(situation),
    }
}

fn run(situation: &Situation<'_>) -> Step {
    let Some(observed) = situation.observed else {
        return match situation.grip {
            Grip::None => start(situation, StartReason::Wanted),
            Grip::Started | Grip::Healthy => Step::NoteCrash(ExitInfo::default()),
        };
    };
    let same = observed.spec_hash == spec_hash(situation.spec);
    match (&observed.state, situation.grip) {
        (RunState::Running, grip) if same => match grip {
            Grip::None => Step::Adopt,
            Grip::Started if situation.history.may_try(situation.now) => Step::Probe,
            Grip::Started => waiting(situation),
            Grip::Healthy if situation.admission_due => Step::Admit,
            Grip::Healthy => rest(Phase::Running),
        },
        (RunState::Exited(exit), Grip::Started | Grip::Healthy) if same => {
            Step::NoteCrash(exit.clone())
        }
        // What was whole is not any more: somebody took a part of it away.
        (RunState::Partial, Grip::Started | Grip::Healthy) => Step::NoteCrash(ExitInfo::default()),
        (RunState::Running, _) => start(situation, StartReason::Changed),
        (RunState::Exited(_) | RunState::Partial, _) => start(situation, StartReason::Ended),
    }
}

fn start(situation: &Situation<'_>, reason: StartReason) -> Step {
    if situation.locked {
        return rest(Phase::Pending);
    }
    if situation.history.may_try(situation.now) {
        Step::Start(reason)
    } else {
        waiting(situation)
    }
}

fn waiting(situation: &Situation<'_>) -> Step {
    let phase = if situation.history.is_failed {
        Phase::Failed
    } else {
        Phase::Backoff
    };
    Step::Rest {
        phase,
        until: situation.history.next_try,
    }
}

const fn rest(phase: Phase) -> Step {
    Step::Rest { phase, until: None }
}

#[cfg(test)]
mod tests;
