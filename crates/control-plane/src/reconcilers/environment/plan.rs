//! What to do next for an environment, decided from what is wanted and what is seen. Pure: all
//! I/O is in `apply`, so that every case can be tested by listing it.
//!
//! One step at a time: after each the world is looked at again. That makes every point at which
//! the control plane can die an ordinary starting point for the next run. A change of size has
//! its part in [`super::scaling`].

use std::time::Duration;

use agentopia_cloud::MachineState;
use agentopia_domain::environment::{
    DesiredEnvironment, EnvironmentEvent, EnvironmentStatus, LostMachine, ScalingPhase,
};

use super::scaling::{self, ScalingAct, ScalingSeen};

/// Heartbeats come every few seconds; after this long without one something is wrong.
pub const HEARTBEAT_LIMIT: Duration = Duration::from_secs(30);
/// How long making a machine, from the first request to the first heartbeat, may take.
pub const CREATION_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long a machine that redeemed its token may take to be heard for the first time.
pub const FIRST_WORD_LIMIT: Duration = Duration::from_secs(60);
/// How long tools get to stop before their machine is taken away.
pub const WIND_DOWN_LIMIT: Duration = Duration::from_secs(60);
/// For how long after a machine was asked for it may be there although the provider finds none: its
/// lists lag by up to a minute, and replicas' clocks differ by seconds.
pub const UNLISTED_LIMIT: Duration = Duration::from_secs(90);
/// For how long a deleted environment is looked at more often: what the provider's lists show too
/// late is taken away then.
const AFTERMATH: Duration = Duration::from_secs(15 * 60);
/// How often what is not as it was wanted is tried again while the machine serves.
const NOTICE_LIMIT: Duration = Duration::from_secs(600);
/// How often an environment is looked at when nothing is going on.
const IDLE: Duration = Duration::from_secs(10);
/// How long a deletion that was refused rests before it is tried again.
const DELETION_RETRY: Duration = Duration::from_secs(60);
/// How often one is looked at that could not be made: what was asked for may still turn up.
const FAILED: Duration = Duration::from_secs(60);
/// The same after an hour.
const FAILED_LONG_AGO: Duration = Duration::from_secs(600);
/// How often one is looked at on which we wait. A first start that fails and the first heartbeat wake it,
/// so this is for what the provider alone knows, who is asked even less often.
const SOON: Duration = Duration::from_secs(2);

/// Where the machine is with its enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// No token is out, or the one that was has expired.
    None,
    /// A token is out that can still be used.
    Waiting,
    /// The machine has credentials.
    Enrolled,
    /// The credentials are locked because they were seen in two places.
    Locked,
}

/// All that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// What the account wants.
    pub desired: DesiredEnvironment,
    /// Where the environment stands.
    pub status: EnvironmentStatus,
    /// How long it has stood there.
    pub in_status: Duration,
    /// What the provider says of the machine; `None` where it has none.
    pub machine: Option<MachineState>,
    /// Whether one may be there all the same: it was asked for a moment ago, by somebody who did not
    /// live to write down what came of it, or whose request arrived twice and who wrote down the other
    /// one, which is lost.
    pub unlisted: bool,
    /// Whether a machine is written down, be it there or not.
    pub is_recorded: bool,
    /// Where the machine is with its enrolment.
    pub enrolment: Enrolment,
    /// How long ago it was last heard; `None` if never since it was made.
    pub silent_for: Option<Duration>,
    /// How long ago it redeemed its token; `None` if it has not.
    pub enrolled_for: Option<Duration>,
    /// Whether the machine reported that its first start failed, before it could enrol.
    pub bootstrap_failed: bool,
    /// How long ago something was last seen to be not as it was wanted, although the machine serves.
    pub noticed_for: Option<Duration>,
    /// Whether tools are still on the machine, as far as we know.
    pub has_tools: bool,
    /// The change of size that is under way.
    pub scaling: Option<ScalingSeen>,
    /// What becomes of it when its machine is lost.
    pub lost_machine: LostMachine,
}

/// One thing to do, with the reason for the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Write down that something happened.
    Transition(EnvironmentEvent, &'static str),
    /// Ask the provider for a machine, with a new enrolment token.
    Create,
    /// Give up a machine whose first start failed, and tell why.
    BootstrapFailed,
    /// Look whether what was not as wanted still is so, and put it right.
    File,
    /// Give the machine that is there a new enrolment token.
    Rebootstrap,
    /// Turn the machine on.
    Start(&'static str),
    /// Have the tools on the machine stopped and removed.
    WindDown,
    /// Revoke the machine's credentials and take it away.
    Delete,
    /// The same for what is left of a machine that could not be made.
    Undo,
    /// Ask the provider for one part of a change of size.
    Scale(ScalingAct),
    /// A change of size goes on to this phase.
    ScalingPhase(ScalingPhase),
    /// A change of size failed for this reason: turn the machine on with the size that it has.
    ScalingFailed(&'static str),
    /// A change of size is over; with what is not as it should be, if anything.
    ScalingEnds(Option<&'static str>),
    /// Nothing now; look again after this long.
    Wait(Duration),
}

/// Decides the next step.
#[must_use]
pub fn plan(seen: &Observation) -> Step {
    match seen.desired {
        DesiredEnvironment::Enabled => towards_enabled(seen),
        DesiredEnvironment::Disabled => towards_disabled(seen),
    }
}

fn towards_enabled(seen: &Observation) -> Step {
    use EnvironmentEvent as E;
    use EnvironmentStatus as S;
    match seen.status {
        S::Deleted => Step::Transition(E::EnableRequested, "the account wants it"),
        S::PendingCreation => Step::Transition(E::CreateStarted, "the provider is asked"),
        S::Creating => creating(seen),
        S::Active | S::Unresponsive => serving(seen),
        S::Scaling => match &seen.scaling {
            Some(change) => scaling::plan(seen, change, is_heard(seen)),
            None => Step::ScalingEnds(None),
        },
        S::ErrorCreation => failed(seen),
        // It was wanted again while it was being taken away: that is finished first.
        S::PendingDeletion | S::Deleting | S::ErrorDeletion => towards_disabled(seen),
    }
}

fn creating(seen: &Observation) -> Step {
    use EnvironmentEvent as E;
    if seen.enrolment == Enrolment::Enrolled && seen.silent_for.is_some() {
        return Step::Transition(E::Ready, "the machine enrolled and was heard");
    }
    if seen.in_status > CREATION_LIMIT {
        return Step::Transition(E::CreateFailed, "the machine did not enrol in time");
    }
    // It tries only once, and nobody would mend a machine that cannot be reached.
    if seen.bootstrap_failed && matches!(seen.enrolment, Enrolment::None | Enrolment::Waiting) {
        return Step::BootstrapFailed;
    }
    // The answer to its enrolment may have been lost, and the token is used up.
    let mute = seen.enrolled_for.is_some_and(|age| age > FIRST_WORD_LIMIT);
    match (seen.machine, seen.enrolment) {
        (None, _) if seen.unlisted => Step::Wait(SOON),
        (None, _) => Step::Create,
        (Some(_), Enrolment::Enrolled) if mute => Step::Rebootstrap,
        (Some(MachineState::Off), Enrolment::Waiting | Enrolment::Enrolled) => {
            Step::Start("it is off before it was heard")
        }
        (Some(_), Enrolment::None) => Step::Rebootstrap,
        (Some(_), _) => Step::Wait(SOON),
    }
}

/// Waits for the account to try again: the reason stands in the error message. Until then nothing
/// may be left that could enrol, or that is billed.
fn failed(seen: &Observation) -> Step {
    if seen.machine.is_some() || seen.is_recorded || seen.enrolment != Enrolment::None {
        return Step::Undo;
    }
    if seen.in_status < Duration::from_secs(3600) {
        Step::Wait(FAILED)
    } else {
        Step::Wait(FAILED_LONG_AGO)
    }
}

/// The provider no longer has the machine of an environment that served.
pub(super) fn lost(policy: LostMachine) -> Step {
    use EnvironmentEvent as E;
    match policy {
        LostMachine::Rebuild => Step::Transition(
            E::MachineLost,
            "the provider no longer has the machine; another one is made",
        ),
        LostMachine::Error => Step::Transition(
            E::MachineGivenUp,
            "the provider no longer has the machine, and none is made in its place by itself: turn \
             the environment on again to get one with the same tools; what they stored is lost",
        ),
    }
}

fn serving(seen: &Observation) -> Step {
    use EnvironmentEvent as E;
    use EnvironmentStatus as S;
    match seen.machine {
        None if seen.unlisted => {}
        None => return lost(seen.lost_machine),
        Some(MachineState::Off) => return Step::Start("it was off"),
        Some(MachineState::Starting | MachineState::Running) => {}
    }
    // Locked credentials are never heard again; no need to wait for the silence.
    let overdue = !is_heard(seen) || seen.enrolment == Enrolment::Locked;
    match (seen.status, overdue) {
        (S::Unresponsive, false) => Step::Transition(E::HeartbeatHeard, "heard again"),
        (S::Active, true) => Step::Transition(E::HeartbeatLost, "not heard for too long"),
        (S::Active, false) if seen.noticed_for.is_some_and(|ago| ago > NOTICE_LIMIT) => Step::File,
        _ => Step::Wait(IDLE),
    }
}

/// Whether the machine's management agent was heard lately.
fn is_heard(seen: &Observation) -> bool {
    seen.silent_for
        .is_some_and(|silence| silence <= HEARTBEAT_LIMIT)
}

fn towards_disabled(seen: &Observation) -> Step {
    use EnvironmentEvent as E;
    use EnvironmentStatus as S;
    match seen.status {
        S::PendingCreation
        | S::Creating
        | S::Active
        | S::Scaling
        | S::Unresponsive
        | S::ErrorCreation => {
            Step::Transition(E::DisableRequested, "the account no longer wants it")
        }
        // Somebody has to change something first; until then it is no use to ask every few seconds.
        S::ErrorDeletion if seen.in_status < DELETION_RETRY => Step::Wait(FAILED),
        S::PendingDeletion | S::ErrorDeletion => {
            Step::Transition(E::DeleteStarted, "the machine is taken away")
        }
        S::Deleting => {
            let reachable = seen.machine == Some(MachineState::Running)
                && seen.enrolment == Enrolment::Enrolled
                && is_heard(seen);
            if seen.has_tools && reachable && seen.in_status <= WIND_DOWN_LIMIT {
                Step::WindDown
            } else {
                Step::Delete
            }
        }
        // A droplet whose making nobody heard of can turn up late.
        S::Deleted if seen.machine.is_some() => Step::Undo,
        S::Deleted if seen.in_status < AFTERMATH => Step::Wait(Duration::from_secs(60)),
        S::Deleted => Step::Wait(Duration::from_secs(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DesiredEnvironment::{Disabled, Enabled};
    use EnvironmentEvent as E;
    use EnvironmentStatus as S;

    fn seen(desired: DesiredEnvironment, status: EnvironmentStatus) -> Observation {
        Observation {
            desired,
            status,
            in_status: Duration::ZERO,
            machine: Some(MachineState::Running),
            unlisted: false,
            is_recorded: true,
            enrolment: Enrolment::Enrolled,
            silent_for: Some(Duration::from_secs(1)),
            enrolled_for: Some(Duration::from_secs(2)),
            bootstrap_failed: false,
            noticed_for: None,
            has_tools: false,
            scaling: None,
            lost_machine: LostMachine::Rebuild,
        }
    }

    #[test]
    fn every_transition_that_is_planned_is_one_that_exists() {
        let machines = [
            None,
            Some(MachineState::Off),
            Some(MachineState::Starting),
            Some(MachineState::Running),
        ];
        let enrolments = [
            Enrolment::None,
            Enrolment::Waiting,
            Enrolment::Enrolled,
            Enrolment::Locked,
        ];
        let silences = [None, Some(Duration::ZERO), Some(Duration::from_secs(3600))];
        for desired in [Enabled, Disabled] {
            for status in S::ALL {
                for machine in machines {
                    for enrolment in enrolments {
                        for silent_for in silences {
                            for in_status in [Duration::ZERO, Duration::from_secs(86_400)] {
                                for has_tools in [false, true] {
                                    let observation = Observation {
                                        desired,
                                        status,
                                        in_status,
                                        machine,
                                        unlisted: has_tools,
                                        is_recorded: machine.is_some(),
                                        enrolment,
                                        silent_for,
                                        bootstrap_failed: has_tools,
                                        noticed_for: silent_for,
                                        has_tools,
                                        enrolled_for: silent_for,
                                        scaling: None,
                                        lost_machine: LostMachine::Error,
                                    };
                                    if let Step::Transition(event, _) = plan(&observation) {
                                        assert!(
                                            status.on(event).is_ok(),
                                            "{observation:?} {event:?}"
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_machine_is_made_once_and_waited_for() {
        let new = Observation {
            machine: None,
            enrolment: Enrolment::None,
            silent_for: None,
            ..seen(Enabled, S::Creating)
        };
        assert_eq!(plan(&new), Step::Create);
        let made = Observation {
            machine: Some(MachineState::Running),
            enrolment: Enrolment::Waiting,
            ..new
        };
        assert_eq!(plan(&made), Step::Wait(SOON));
        let token_expired = Observation {
            enrolment: Enrolment::None,
            ..made
        };
        assert_eq!(plan(&token_expired), Step::Rebootstrap);
        let mute = Observation {
            enrolment: Enrolment::Enrolled,
            enrolled_for: Some(FIRST_WORD_LIMIT * 2),
            ..made
        };
        assert_eq!(plan(&mute), Step::Rebootstrap);
        let late = Observation {
            in_status: CREATION_LIMIT * 2,
            ..made
        };
        assert!(matches!(plan(&late), Step::Transition(E::CreateFailed, _)));
        assert!(matches!(
            plan(&seen(Enabled, S::Creating)),
            Step::Transition(E::Ready, _)
        ));
    }

    #[test]
    fn a_machine_whose_first_start_failed_is_given_up_unless_it_enrolled_all_the_same() {
        let waiting = Observation {
            enrolment: Enrolment::Waiting,
            silent_for: None,
            bootstrap_failed: true,
            ..seen(Enabled, S::Creating)
        };
        assert_eq!(plan(&waiting), Step::BootstrapFailed);
        let expired = Observation {
            enrolment: Enrolment::None,
            ..waiting
        };
        assert_eq!(plan(&expired), Step::BootstrapFailed);
        let enrolled = Observation {
            enrolment: Enrolment::Enrolled,
            ..waiting
        };
        assert!(matches!(plan(&enrolled), Step::Wait(_)));
    }

    #[test]
    fn what_is_not_as_wanted_is_tried_again_now_and_then() {
        let noticed = |ago| Observation {
            noticed_for: Some(ago),
            ..seen(Enabled, S::Active)
        };
        assert!(matches!(plan(&noticed(Duration::ZERO)), Step::Wait(_)));
        assert_eq!(plan(&noticed(NOTICE_LIMIT * 2)), Step::File);
    }

    #[test]
    fn a_machine_that_may_be_there_is_not_made_twice() {
        let unlisted = Observation {
            machine: None,
            unlisted: true,
            is_recorded: true,
            enrolment: Enrolment::Waiting,
            silent_for: None,
            ..seen(Enabled, S::Creating)
        };
        assert_eq!(plan(&unlisted), Step::Wait(SOON));
        let heard = Observation {
            machine: None,
            unlisted: true,
            is_recorded: true,
            ..seen(Enabled, S::Active)
        };
        assert!(matches!(plan(&heard), Step::Wait(_)), "not taken for lost");
    }

    #[test]
    fn what_turns_up_too_late_is_taken_away() {
        assert_eq!(plan(&seen(Disabled, S::Deleted)), Step::Undo);
    }

    #[test]
    fn a_silent_machine_is_noticed_and_forgiven() {
        let silent = Observation {
            silent_for: Some(HEARTBEAT_LIMIT * 2),
            ..seen(Enabled, S::Active)
        };
        assert!(matches!(
            plan(&silent),
            Step::Transition(E::HeartbeatLost, _)
        ));
        assert!(matches!(
            plan(&seen(Enabled, S::Unresponsive)),
            Step::Transition(E::HeartbeatHeard, _)
        ));
        let off = Observation {
            machine: Some(MachineState::Off),
            ..seen(Enabled, S::Active)
        };
        assert!(matches!(plan(&off), Step::Start(_)));
        let gone = Observation {
            machine: None,
            ..seen(Enabled, S::Active)
        };
        assert!(matches!(plan(&gone), Step::Transition(E::MachineLost, _)));
    }

    #[test]
    fn a_lost_machine_is_made_anew_or_told_of_as_the_policy_says() {
        for status in [S::Active, S::Unresponsive] {
            let gone = Observation {
                machine: None,
                lost_machine: LostMachine::Error,
                ..seen(Enabled, status)
            };
            assert!(matches!(
                plan(&gone),
                Step::Transition(E::MachineGivenUp, _)
            ));
        }
        // One that never served is simply made again.
        let unmade = Observation {
            machine: None,
            silent_for: None,
            lost_machine: LostMachine::Error,
            ..seen(Enabled, S::Creating)
        };
        assert_eq!(plan(&unmade), Step::Create);
    }

    #[test]
    fn what_could_not_be_made_leaves_nothing_behind() {
        let left = seen(Enabled, S::ErrorCreation);
        assert_eq!(plan(&left), Step::Undo);
        let invited = Observation {
            machine: None,
            enrolment: Enrolment::Waiting,
            ..left
        };
        assert_eq!(plan(&invited), Step::Undo);
        let undone = Observation {
            is_recorded: false,
            enrolment: Enrolment::None,
            ..invited
        };
        assert_eq!(plan(&undone), Step::Wait(FAILED));
    }

    #[test]
    fn a_machine_with_locked_credentials_is_not_waited_for() {
        let locked = Observation {
            enrolment: Enrolment::Locked,
            ..seen(Enabled, S::Active)
        };
        assert!(matches!(
            plan(&locked),
            Step::Transition(E::HeartbeatLost, _)
        ));
        let known = Observation {
            status: S::Unresponsive,
            ..locked
        };
        assert!(matches!(plan(&known), Step::Wait(_)));
    }

    #[test]
    fn tools_are_stopped_before_their_machine_goes_but_not_for_ever() {
        let busy = Observation {
            has_tools: true,
            ..seen(Disabled, S::Deleting)
        };
        assert_eq!(plan(&busy), Step::WindDown);
        assert_eq!(
            plan(&Observation {
                in_status: WIND_DOWN_LIMIT * 2,
                ..busy
            }),
            Step::Delete
        );
        assert_eq!(
            plan(&Observation {
                machine: None,
                ..busy
            }),
            Step::Delete
        );
        assert_eq!(plan(&seen(Disabled, S::Deleting)), Step::Delete);
    }

    #[test]
    fn what_is_wanted_again_while_it_goes_is_first_finished() {
        assert_eq!(plan(&seen(Enabled, S::Deleting)), Step::Delete);
        assert!(matches!(
            plan(&seen(Enabled, S::Deleted)),
            Step::Transition(E::EnableRequested, _)
        ));
    }
}
