//! What to do next for a machine that is changing its size (ENV-10). Pure, like [`super::plan`].
//!
//! Each phase has a time limit. Whatever goes wrong, the machine is turned on again, with the size
//! that it then has, and the change ends when its management agent and its tools are back: with
//! the new size, or with the old one and the reason.

use std::time::Duration;

use agentopia_cloud::{MachineState, OperationState};
use agentopia_domain::environment::ScalingPhase;

use super::plan::{Observation, Step};

/// How long a system gets to shut down before its power is cut. Tools get 10 s each to stop, all at
/// once; the rest is the system's.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(90);
/// How long cutting the power may take.
pub const POWER_OFF_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long the provider may take for the new size. The disk stays, so nothing is copied unless
/// the machine has to move to another server.
pub const RESIZE_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long turning on may take. It goes on being tried afterwards, as for any machine that is off.
pub const START_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How long a machine that is on may take to be heard.
pub const REPORT_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long tools may take to answer again. What does not come back tells why in its own status.
pub const TOOLS_LIMIT: Duration = Duration::from_secs(3 * 60);
/// How often to look while something is under way, at first; then in proportion to the time gone
/// by, because each look costs requests of an hourly budget.
const LOOK: Duration = Duration::from_secs(3);
/// How often at least.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// What is seen of a change of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingSeen {
    /// Where it stands.
    pub phase: ScalingPhase,
    /// How long it has stood there.
    pub in_phase: Duration,
    /// What became of what the provider was asked to do in this phase; `None` if it was not yet
    /// asked, or nobody knows of it.
    pub operation: Option<OperationState>,
    /// Whether the machine has the size that is wanted.
    pub is_resized: bool,
    /// Whether every tool that is to run answers, as far as its machine told.
    pub tools_are_back: bool,
}

/// What is asked of the provider in a phase; the size is in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingAct {
    /// Ask the system to turn itself off.
    ShutDown,
    /// Cut the power.
    PowerOff,
    /// Change the size.
    Resize,
    /// Turn it on.
    PowerOn,
}

/// Decides the next step. `heard` is whether the management agent reports.
pub(super) fn plan(seen: &Observation, scaling: &ScalingSeen, heard: bool) -> Step {
    use ScalingPhase as P;
    let Some(machine) = seen.machine else {
        return super::plan::lost(seen.lost_machine);
    };
    match scaling.phase {
        P::ShuttingDown => shutting_down(machine, scaling),
        P::PoweringOff => powering_off(machine, scaling),
        P::Resizing => resizing(machine, scaling),
        P::Starting => starting(machine, scaling),
        P::Reporting => reporting(machine, scaling, heard),
        P::ReturningTools => returning(scaling),
    }
}

fn shutting_down(machine: MachineState, scaling: &ScalingSeen) -> Step {
    match (machine, scaling.operation) {
        (MachineState::Off, _) => Step::ScalingPhase(ScalingPhase::Resizing),
        _ if scaling.in_phase > SHUTDOWN_LIMIT => Step::ScalingPhase(ScalingPhase::PoweringOff),
        (_, None) => Step::Scale(ScalingAct::ShutDown),
        // It was asked; that it did nothing of it shows by the time that passes.
        (_, Some(_)) => wait(scaling),
    }
}

fn powering_off(machine: MachineState, scaling: &ScalingSeen) -> Step {
    match (machine, scaling.operation) {
        (MachineState::Off, _) => Step::ScalingPhase(ScalingPhase::Resizing),
        _ if scaling.in_phase > POWER_OFF_LIMIT => {
            Step::ScalingFailed("the machine could not be turned off")
        }
        (_, None | Some(OperationState::Failed)) => Step::Scale(ScalingAct::PowerOff),
        (_, Some(OperationState::InProgress | OperationState::Completed)) => wait(scaling),
    }
}

fn resizing(machine: MachineState, scaling: &ScalingSeen) -> Step {
    match scaling.operation {
        Some(OperationState::Completed) if scaling.is_resized => {
            Step::ScalingPhase(ScalingPhase::Starting)
        }
        Some(OperationState::Failed) => {
            Step::ScalingFailed("the provider could not give the machine the new size")
        }
        _ if scaling.in_phase > RESIZE_LIMIT => {
            Step::ScalingFailed("the provider did not change the size in time")
        }
        // Also when it seems to be resized: what is rolled back can look so for a while.
        None if machine == MachineState::Off => Step::Scale(ScalingAct::Resize),
        None => Step::ScalingFailed("somebody turned the machine on meanwhile"),
        Some(OperationState::InProgress | OperationState::Completed) => wait(scaling),
    }
}

fn starting(machine: MachineState, scaling: &ScalingSeen) -> Step {
    match (machine, scaling.operation) {
        (MachineState::Running, _) => Step::ScalingPhase(ScalingPhase::Reporting),
        _ if scaling.in_phase > START_LIMIT => Step::ScalingEnds(Some(
            "the machine could not be turned on in time; it goes on being tried",
        )),
        (MachineState::Off, None | Some(OperationState::Failed)) => {
            Step::Scale(ScalingAct::PowerOn)
        }
        _ => wait(scaling),
    }
}

fn reporting(machine: MachineState, scaling: &ScalingSeen, heard: bool) -> Step {
    match machine {
        _ if heard => Step::ScalingPhase(ScalingPhase::ReturningTools),
        _ if scaling.in_phase > REPORT_LIMIT => Step::ScalingEnds(Some(
            "the machine is on, but its management agent does not report",
        )),
        MachineState::Off => Step::Start("it went off again"),
        MachineState::Starting | MachineState::Running => wait(scaling),
    }
}

fn returning(scaling: &ScalingSeen) -> Step {
    if scaling.tools_are_back || scaling.in_phase > TOOLS_LIMIT {
        Step::ScalingEnds(None)
    } else {
        // The next heartbeat wakes us.
        wait(scaling)
    }
}

fn wait(scaling: &ScalingSeen) -> Step {
    Step::Wait((scaling.in_phase / 10).clamp(LOOK, LONGEST_LOOK))
}

#[cfg(test)]
#[path = "scaling_tests.rs"]
mod tests;
