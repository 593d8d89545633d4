//! What to do next for an instance, decided from what is wanted and what its machine says. Pure;
//! see the environment's plan for why it is one step at a time.

use std::time::Duration;

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::{DesiredInstance, InstanceEvent, InstanceStatus};
use agentopia_domain::observed::Phase;

/// How often an instance is looked at when nothing is going on. The heartbeat wakes it sooner
/// when anything changes.
const IDLE: Duration = Duration::from_secs(60);
/// How soon to look again at an instance whose machine should be there and can't be reached.
const SOON: Duration = Duration::from_secs(1);

/// How long one that fell asleep is left running: another replica may have sent it a call a moment
/// ago, which wakes it before its machine hears of anything. Longer than it takes a replica to write
/// the use down, and to hear that the instance sleeps.
const GRACE: Duration = Duration::from_secs(5);

/// What the machine says of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// There is none that could serve (yet, or any more).
    Absent,
    /// It does not answer.
    Unreachable,
    /// It does not know the instance.
    Unknown,
    /// It knows this much.
    Reports {
        /// The generation of the spec that it has.
        generation: i64,
        /// What it is doing.
        phase: Phase,
    },
}

/// All that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// What the owner wants.
    pub desired: DesiredInstance,
    /// The generation of that wish.
    pub generation: i64,
    /// Where the instance stands.
    pub status: InstanceStatus,
    /// Where its environment stands.
    pub environment: EnvironmentStatus,
    /// Whether the environment is wanted.
    pub environment_wanted: bool,
    /// In how long it falls asleep if nobody uses it; `None` for one that never does.
    pub sleeps_in: Option<Duration>,
    /// For how long it is asleep.
    pub asleep_for: Duration,
    /// What the machine says.
    pub machine: Machine,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Write down that something happened, with the reason for the timeline.
    Transition(InstanceEvent, &'static str),
    /// Put it to sleep: nobody used it for its idle time (TOOL-9).
    Sleep,
    /// Wake it, with the reason for the timeline.
    Wake(&'static str),
    /// Hand the machine the whole desired state.
    Put,
    /// Wait until the machine reports another phase, then look again.
    Watch,
    /// Nothing now; look again after this long.
    Wait(Duration),
    /// Nothing ever again.
    Done,
}

/// Decides the next step.
#[must_use]
pub fn plan(seen: &Observation) -> Step {
    use InstanceEvent as E;
    use InstanceStatus as S;
    if seen.status == S::Removed {
        return Step::Done;
    }
    if let Some(step) = intent(seen) {
        return step;
    }
    match seen.machine {
        Machine::Absent => without_machine(seen),
        Machine::Unreachable => Step::Wait(SOON),
        Machine::Unknown if seen.status == S::PendingRemoval => {
            Step::Transition(E::RemoveFinished, "its machine knows nothing of it")
        }
        // A machine that was made anew has nothing to stop.
        Machine::Unknown if seen.status == S::Stopping => {
            Step::Transition(E::StopFinished, "its machine does not run it")
        }
        Machine::Unknown | Machine::Reports { .. } if falls_asleep(seen).is_some() => {
            Step::Wait(falls_asleep(seen).unwrap_or(SOON))
        }
        // Also what is to stay stopped: the machine's word is what shows that a change was taken up.
        Machine::Unknown => Step::Put,
        Machine::Reports { generation, .. } if generation < seen.generation => Step::Put,
        Machine::Reports { phase, .. } => follow(seen, phase),
    }
}

/// How long one that fell asleep still runs.
fn falls_asleep(seen: &Observation) -> Option<Duration> {
    let is_asleep = seen.status == InstanceStatus::Asleep;
    let left = GRACE.checked_sub(seen.asleep_for)?;
    (is_asleep && !left.is_zero()).then_some(left)
}

/// Brings the status in line with a wish that was written but not yet taken up.
fn intent(seen: &Observation) -> Option<Step> {
    use InstanceEvent as E;
    use InstanceStatus as S;
    match (seen.desired, seen.status) {
        (DesiredInstance::Removed { .. }, S::PendingRemoval) => None,
        (DesiredInstance::Removed { .. }, _) => {
            Some(Step::Transition(E::RemoveRequested, "its owner removed it"))
        }
        (
            DesiredInstance::Stopped,
            S::PendingStart | S::Starting | S::Running | S::Asleep | S::ErrorRuntime,
        ) => Some(Step::Transition(E::StopRequested, "its owner stopped it")),
        (DesiredInstance::Running, S::Asleep)
            if seen.environment_wanted && seen.sleeps_in.is_none() =>
        {
            Some(Step::Wake("it is not to sleep any more"))
        }
        (DesiredInstance::Running, S::Stopped | S::Stopping) if seen.environment_wanted => {
            Some(Step::Transition(E::StartRequested, "it is to run"))
        }
        _ => None,
    }
}

/// No machine can serve: it is not there yet, or it is going or gone.
fn without_machine(seen: &Observation) -> Step {
    use EnvironmentStatus as N;
    use InstanceEvent as E;
    use InstanceStatus as S;
    if seen.environment == N::Deleted || seen.environment == N::ErrorCreation {
        match seen.status {
            S::PendingRemoval => {
                return Step::Transition(E::RemoveFinished, "there is no machine");
            }
            S::Stopping => return Step::Transition(E::StopFinished, "there is no machine"),
            _ => {}
        }
    }
    let goes = !seen.environment_wanted;
    match seen.status {
        S::PendingStart | S::Starting | S::Running | S::ErrorRuntime if goes => {
            Step::Transition(E::StopRequested, "its environment is being turned off")
        }
        // The machine is made anew, and with it everything that should run there.
        S::Starting | S::Running | S::ErrorRuntime if !goes => {
            Step::Transition(E::StartRequested, "its machine is being made anew")
        }
        _ if seen.environment.serves() => Step::Wait(SOON),
        // Every change of the environment's status wakes it.
        _ => Step::Wait(IDLE),
    }
}

/// The machine has the newest wish: its report is the truth.
fn follow(seen: &Observation, phase: Phase) -> Step {
    use InstanceEvent as E;
    use InstanceStatus as S;
    match (seen.status, phase) {
        (S::PendingRemoval, Phase::Removed) => {
            Step::Transition(E::RemoveFinished, "nothing of it is left")
        }
        (S::PendingRemoval, _) => Step::Watch,
        (S::Stopping, Phase::Stopped) => Step::Transition(E::StopFinished, "it has stopped"),
        (S::Stopping, _) => Step::Watch,
        (S::Stopped, _) | (S::Asleep, Phase::Stopped) => Step::Wait(IDLE),
        (S::Asleep, _) => Step::Watch,
        (S::Running, Phase::Running) => match seen.sleeps_in {
            None => Step::Wait(IDLE),
            Some(Duration::ZERO) => Step::Sleep,
            Some(rest) => Step::Wait(rest.min(IDLE)),
        },
        (S::PendingStart | S::Starting | S::ErrorRuntime, Phase::Running) => {
            Step::Transition(E::Healthy, "it answers MCP")
        }
        (S::PendingStart | S::Starting | S::Running, Phase::Failed) => {
            Step::Transition(E::Failed, "it does not come up")
        }
        // The machine goes on trying; when it succeeds it reports `Running`.
        (S::ErrorRuntime, _) => Step::Wait(IDLE),
        (S::Running, _) => Step::Transition(E::Crashed, "it went away and is started again"),
        (S::PendingStart, _) => Step::Transition(E::StartBegun, "its machine began"),
        (S::Starting, _) => Step::Watch,
        (S::Removed, _) => Step::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InstanceEvent as E;
    use InstanceStatus as S;

    const PHASES: [Phase; 11] = [
        Phase::Pending,
        Phase::Pulling,
        Phase::WaitingForSecrets,
        Phase::Starting,
        Phase::Running,
        Phase::Backoff,
        Phase::Failed,
        Phase::Stopping,
        Phase::Stopped,
        Phase::Removing,
        Phase::Removed,
    ];
    const WISHES: [DesiredInstance; 3] = [
        DesiredInstance::Running,
        DesiredInstance::Stopped,
        DesiredInstance::Removed { purge_data: false },
    ];

    fn seen(desired: DesiredInstance, status: S, machine: Machine) -> Observation {
        Observation {
            desired,
            generation: 2,
            status,
            environment: EnvironmentStatus::Active,
            environment_wanted: true,
            sleeps_in: None,
            asleep_for: Duration::ZERO,
            machine,
        }
    }

    fn reports(phase: Phase) -> Machine {
        Machine::Reports {
            generation: 2,
            phase,
        }
    }

    #[test]
    fn every_transition_that_is_planned_is_one_that_exists() {
        let mut machines = vec![Machine::Absent, Machine::Unreachable, Machine::Unknown];
        for phase in PHASES {
            machines.extend([1, 2].map(|generation| Machine::Reports { generation, phase }));
        }
        for desired in WISHES {
            for status in S::ALL {
                for environment in EnvironmentStatus::ALL {
                    for environment_wanted in [false, true] {
                        for machine in &machines {
                            let observation = Observation {
                                environment,
                                environment_wanted,
                                ..seen(desired, status, *machine)
                            };
                            if let Step::Transition(event, _) = plan(&observation) {
                                assert!(status.on(event).is_ok(), "{observation:?} {event:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_deploy_is_put_followed_and_healthy() {
        let running = DesiredInstance::Running;
        assert_eq!(
            plan(&seen(running, S::PendingStart, Machine::Unknown)),
            Step::Put
        );
        let begun = plan(&seen(running, S::PendingStart, reports(Phase::Pulling)));
        assert!(matches!(begun, Step::Transition(E::StartBegun, _)));
        assert_eq!(
            plan(&seen(running, S::Starting, reports(Phase::Pulling))),
            Step::Watch
        );
        let healthy = plan(&seen(running, S::Starting, reports(Phase::Running)));
        assert!(matches!(healthy, Step::Transition(E::Healthy, _)));
    }

    #[test]
    fn a_machine_that_was_made_anew_is_told_of_what_stays_stopped() {
        let stopped = DesiredInstance::Stopped;
        assert_eq!(
            plan(&seen(stopped, S::Stopped, Machine::Unknown)),
            Step::Put
        );
        let stopping = plan(&seen(stopped, S::Stopping, Machine::Unknown));
        assert!(matches!(stopping, Step::Transition(E::StopFinished, _)));
    }

    #[test]
    fn an_older_generation_is_never_believed() {
        for desired in WISHES {
            let status = match desired {
                DesiredInstance::Running => S::PendingStart,
                DesiredInstance::Stopped => S::Stopping,
                DesiredInstance::Removed { .. } => S::PendingRemoval,
            };
            for phase in PHASES {
                let old = Machine::Reports {
                    generation: 1,
                    phase,
                };
                assert_eq!(plan(&seen(desired, status, old)), Step::Put, "{phase:?}");
            }
        }
    }

    #[test]
    fn turning_the_environment_off_stops_and_turning_it_on_starts_again() {
        let off = Observation {
            environment: EnvironmentStatus::Deleting,
            environment_wanted: false,
            ..seen(DesiredInstance::Running, S::Running, Machine::Absent)
        };
        assert!(matches!(plan(&off), Step::Transition(E::StopRequested, _)));
        let gone = Observation {
            environment: EnvironmentStatus::Deleted,
            status: S::Stopping,
            ..off
        };
        assert!(matches!(plan(&gone), Step::Transition(E::StopFinished, _)));
        let again = Observation {
            status: S::Stopped,
            environment_wanted: true,
            ..gone
        };
        assert!(matches!(
            plan(&again),
            Step::Transition(E::StartRequested, _)
        ));
    }

    fn sleepy(status: S, machine: Machine, sleeps_in: u64, asleep_for: u64) -> Observation {
        Observation {
            sleeps_in: Some(Duration::from_secs(sleeps_in)),
            asleep_for: Duration::from_secs(asleep_for),
            ..seen(DesiredInstance::Running, status, machine)
        }
    }

    #[test]
    fn one_that_runs_and_is_not_used_falls_asleep() {
        let runs = reports(Phase::Running);
        let step = |sleeps_in| plan(&sleepy(S::Running, runs, sleeps_in, 0));
        assert_eq!(step(7), Step::Wait(Duration::from_secs(7)));
        assert_eq!(step(3600), Step::Wait(IDLE));
        assert_eq!(step(0), Step::Sleep);
        let never = seen(DesiredInstance::Running, S::Running, runs);
        assert_eq!(plan(&never), Step::Wait(IDLE));
        for (status, phase) in [
            (S::Starting, Phase::Starting),
            (S::PendingStart, Phase::Pending),
            (S::ErrorRuntime, Phase::Failed),
            (S::Running, Phase::Backoff),
        ] {
            assert_ne!(plan(&sleepy(status, reports(phase), 0, 0)), Step::Sleep);
        }
    }

    #[test]
    fn its_machine_hears_of_it_after_a_moment_of_grace() {
        let old = Machine::Reports {
            generation: 1,
            phase: Phase::Running,
        };
        let step = |machine, asleep_for| plan(&sleepy(S::Asleep, machine, 0, asleep_for));
        for machine in [old, Machine::Unknown] {
            assert_eq!(step(machine, 1), Step::Wait(GRACE - Duration::from_secs(1)));
            assert_eq!(step(machine, GRACE.as_secs()), Step::Put);
            assert_eq!(step(machine, 3600), Step::Put);
        }
        assert_eq!(step(reports(Phase::Stopping), 6), Step::Watch);
        assert_eq!(step(reports(Phase::Stopped), 6), Step::Wait(IDLE));
    }

    #[test]
    fn one_that_sleeps_sleeps_on_whatever_becomes_of_its_environment() {
        for (status, wanted) in [
            (EnvironmentStatus::Deleting, false),
            (EnvironmentStatus::Deleted, false),
            (EnvironmentStatus::Deleted, true),
        ] {
            let observation = Observation {
                environment: status,
                environment_wanted: wanted,
                ..sleepy(S::Asleep, Machine::Absent, 0, 60)
            };
            assert!(matches!(plan(&observation), Step::Wait(_)), "{status:?}");
        }
        let stopped = Observation {
            desired: DesiredInstance::Stopped,
            ..sleepy(S::Asleep, reports(Phase::Stopped), 0, 60)
        };
        let stopped = plan(&stopped);
        assert!(matches!(stopped, Step::Transition(E::StopRequested, _)));
    }

    #[test]
    fn one_that_is_no_longer_to_sleep_is_woken() {
        let asleep = seen(DesiredInstance::Running, S::Asleep, reports(Phase::Stopped));
        assert!(matches!(plan(&asleep), Step::Wake(_)));
        let off = Observation {
            environment_wanted: false,
            ..asleep
        };
        assert!(!matches!(plan(&off), Step::Wake(_)));
    }

    #[test]
    fn an_unreachable_machine_is_no_reason_to_change_anything() {
        for status in [S::Running, S::Starting, S::ErrorRuntime] {
            let step = plan(&seen(
                DesiredInstance::Running,
                status,
                Machine::Unreachable,
            ));
            assert_eq!(step, Step::Wait(SOON));
        }
    }
}
