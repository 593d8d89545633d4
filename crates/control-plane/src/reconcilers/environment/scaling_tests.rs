//! Every case of a change of size.

use agentopia_domain::environment::{
    DesiredEnvironment, EnvironmentEvent, EnvironmentStatus, LostMachine,
};

use super::super::plan::{Enrolment, HEARTBEAT_LIMIT, plan as decide};
use super::*;
use MachineState::{Off, Running, Starting};
use OperationState::{Completed, Failed, InProgress};
use ScalingPhase as P;

const SECOND: Duration = Duration::from_secs(1);

fn change(phase: P, operation: Option<OperationState>) -> ScalingSeen {
    ScalingSeen {
        phase,
        in_phase: SECOND,
        operation,
        is_resized: false,
        tools_are_back: false,
    }
}

fn seen(machine: Option<MachineState>, scaling: ScalingSeen) -> Observation {
    Observation {
        desired: DesiredEnvironment::Enabled,
        status: EnvironmentStatus::Scaling,
        in_status: SECOND,
        machine,
        unlisted: false,
        is_recorded: true,
        enrolment: Enrolment::Enrolled,
        silent_for: None,
        enrolled_for: Some(HEARTBEAT_LIMIT * 100),
        bootstrap_failed: false,
        noticed_for: None,
        has_tools: true,
        scaling: Some(scaling),
        lost_machine: LostMachine::Rebuild,
    }
}

fn step(machine: MachineState, scaling: ScalingSeen) -> Step {
    decide(&seen(Some(machine), scaling))
}

/// The same phase, longer than it may take.
fn late(scaling: ScalingSeen, limit: Duration) -> ScalingSeen {
    ScalingSeen {
        in_phase: limit + SECOND,
        ..scaling
    }
}

#[test]
fn a_machine_is_asked_once_to_shut_down_and_then_loses_its_power() {
    let asked = |operation| change(P::ShuttingDown, operation);
    assert_eq!(
        step(Running, asked(None)),
        Step::Scale(ScalingAct::ShutDown)
    );
    for operation in [InProgress, Completed, Failed] {
        assert_eq!(step(Running, asked(Some(operation))), Step::Wait(LOOK));
        assert_eq!(
            step(Running, late(asked(Some(operation)), SHUTDOWN_LIMIT)),
            Step::ScalingPhase(P::PoweringOff)
        );
    }
    assert_eq!(step(Off, asked(None)), Step::ScalingPhase(P::Resizing));
    assert_eq!(
        step(Off, asked(Some(Completed))),
        Step::ScalingPhase(P::Resizing)
    );
}

#[test]
fn power_is_cut_until_it_is_off() {
    let cut = |operation| change(P::PoweringOff, operation);
    for again in [None, Some(Failed)] {
        assert_eq!(step(Running, cut(again)), Step::Scale(ScalingAct::PowerOff));
    }
    for wait in [InProgress, Completed] {
        assert_eq!(step(Running, cut(Some(wait))), Step::Wait(LOOK));
    }
    assert_eq!(
        step(Off, cut(Some(Completed))),
        Step::ScalingPhase(P::Resizing)
    );
    assert!(matches!(
        step(Running, late(cut(Some(InProgress)), POWER_OFF_LIMIT)),
        Step::ScalingFailed(_)
    ));
}

#[test]
fn a_resize_is_believed_when_its_operation_ended() {
    let resize = |operation, is_resized| ScalingSeen {
        is_resized,
        ..change(P::Resizing, operation)
    };
    // After a crash nobody knows whether it was asked for; what looks resized can be rolled back.
    for is_resized in [false, true] {
        assert_eq!(
            step(Off, resize(None, is_resized)),
            Step::Scale(ScalingAct::Resize)
        );
        assert_eq!(
            step(Off, resize(Some(InProgress), is_resized)),
            Step::Wait(LOOK)
        );
        assert!(matches!(
            step(Off, resize(Some(Failed), is_resized)),
            Step::ScalingFailed(_)
        ));
        assert!(matches!(
            step(
                Off,
                late(resize(Some(InProgress), is_resized), RESIZE_LIMIT)
            ),
            Step::ScalingFailed(_)
        ));
    }
    assert_eq!(
        step(Off, resize(Some(Completed), true)),
        Step::ScalingPhase(P::Starting)
    );
    assert_eq!(
        step(Off, resize(Some(Completed), false)),
        Step::Wait(LOOK),
        "it does not show yet"
    );
    assert!(matches!(
        step(Off, late(resize(Some(Completed), false), RESIZE_LIMIT)),
        Step::ScalingFailed(_)
    ));
    assert!(matches!(
        step(Running, resize(None, false)),
        Step::ScalingFailed(_)
    ));
}

#[test]
fn a_machine_is_turned_on_until_it_runs() {
    let on = |operation| change(P::Starting, operation);
    for again in [None, Some(Failed)] {
        assert_eq!(step(Off, on(again)), Step::Scale(ScalingAct::PowerOn));
    }
    for wait in [InProgress, Completed] {
        assert_eq!(step(Off, on(Some(wait))), Step::Wait(LOOK));
    }
    assert_eq!(step(Starting, on(None)), Step::Wait(LOOK));
    assert_eq!(step(Running, on(None)), Step::ScalingPhase(P::Reporting));
    assert!(matches!(
        step(Off, late(on(Some(Failed)), START_LIMIT)),
        Step::ScalingEnds(Some(_))
    ));
}

#[test]
fn it_is_over_when_the_agent_and_the_tools_are_back() {
    let waiting = change(P::Reporting, None);
    assert_eq!(step(Running, waiting), Step::Wait(LOOK));
    assert!(matches!(step(Off, waiting), Step::Start(_)));
    assert!(matches!(
        step(Running, late(waiting, REPORT_LIMIT)),
        Step::ScalingEnds(Some(_))
    ));
    let heard = Observation {
        silent_for: Some(SECOND),
        ..seen(Some(Running), waiting)
    };
    assert_eq!(decide(&heard), Step::ScalingPhase(P::ReturningTools));

    let tools = change(P::ReturningTools, None);
    assert_eq!(step(Running, tools), Step::Wait(LOOK));
    let back = ScalingSeen {
        tools_are_back: true,
        ..tools
    };
    assert_eq!(step(Running, back), Step::ScalingEnds(None));
    assert_eq!(
        step(Running, late(tools, TOOLS_LIMIT)),
        Step::ScalingEnds(None)
    );
}

#[test]
fn silence_is_not_held_against_it_and_nothing_else_turns_it_on() {
    for phase in P::ALL {
        for machine in [Off, Starting, Running] {
            for operation in [None, Some(InProgress), Some(Completed), Some(Failed)] {
                let observation = Observation {
                    silent_for: Some(HEARTBEAT_LIMIT * 10),
                    ..seen(Some(machine), change(phase, operation))
                };
                let step = decide(&observation);
                assert!(
                    !matches!(step, Step::Transition(..)),
                    "{observation:?} {step:?}"
                );
                // Only a machine that was on after the change is turned on by itself.
                if matches!(step, Step::Start(_)) {
                    assert_eq!(phase, P::Reporting);
                }
            }
        }
    }
}

#[test]
fn every_phase_ends_by_itself() {
    for phase in P::ALL {
        for machine in [Off, Starting, Running] {
            for operation in [None, Some(InProgress), Some(Completed), Some(Failed)] {
                for is_resized in [false, true] {
                    let forever = ScalingSeen {
                        in_phase: Duration::from_secs(86_400),
                        is_resized,
                        ..change(phase, operation)
                    };
                    let step = step(machine, forever);
                    assert!(
                        matches!(
                            step,
                            Step::ScalingPhase(_) | Step::ScalingFailed(_) | Step::ScalingEnds(_)
                        ),
                        "{machine:?} {forever:?} {step:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_machine_that_is_gone_is_made_anew_and_one_that_is_not_wanted_goes() {
    let resizing = change(P::Resizing, Some(InProgress));
    assert!(matches!(
        decide(&seen(None, resizing)),
        Step::Transition(EnvironmentEvent::MachineLost, _)
    ));
    let unwanted = Observation {
        desired: DesiredEnvironment::Disabled,
        ..seen(Some(Off), resizing)
    };
    assert!(matches!(
        decide(&unwanted),
        Step::Transition(EnvironmentEvent::DisableRequested, _)
    ));
}
