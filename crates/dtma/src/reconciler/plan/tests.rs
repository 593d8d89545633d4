//! Every combination of what is wanted, what is there, what we did and what happened.

use std::time::Duration;

use super::*;
use crate::runtime::{ErrorCode, RuntimeError};
use crate::testing::spec;

const NOW: Instant = Duration::from_secs(1000);

fn observed(spec: &InstanceSpec, state: RunState, same: bool) -> RuntimeInstance {
    RuntimeInstance {
        instance_id: spec.instance_id,
        generation: spec.generation,
        spec_hash: if same {
            spec_hash(spec)
        } else {
            "another".to_owned()
        },
        container_id: None,
        image_digest: None,
        port: None,
        state,
    }
}

fn exited() -> RunState {
    RunState::Exited(ExitInfo {
        code: Some(1),
        ..ExitInfo::default()
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    Clean,
    Waiting,
    Failed,
    Final,
    Due,
}

fn history(past: Past) -> History {
    let mut history = History::default();
    let mut fail = |code, at| {
        history.failed(&RuntimeError::new(code, "x"), at, |pause| pause);
    };
    match past {
        Past::Clean => {}
        Past::Waiting => fail(ErrorCode::Unhealthy, NOW),
        Past::Failed => fail(ErrorCode::ImageNotFound, NOW),
        Past::Final => fail(ErrorCode::ExecFailed, NOW),
        Past::Due => fail(ErrorCode::Unhealthy, NOW - Duration::from_secs(10)),
    }
    history
}

const DESIRED: [DesiredInstance; 4] = [
    DesiredInstance::Running,
    DesiredInstance::Stopped,
    DesiredInstance::Removed { purge_data: false },
    DesiredInstance::Removed { purge_data: true },
];
const PASTS: [Past; 5] = [
    Past::Clean,
    Past::Waiting,
    Past::Failed,
    Past::Final,
    Past::Due,
];
const GRIPS: [Grip; 3] = [Grip::None, Grip::Started, Grip::Healthy];

/// What is right, said in another way than the plan says it: as a table of rules in order.
fn expected(
    desired: DesiredInstance,
    state: Option<&(RunState, bool)>,
    grip: &Grip,
    past: Past,
    locked: bool,
) -> &'static str {
    let blocked = match past {
        Past::Clean | Past::Due => None,
        Past::Waiting => Some("rest Backoff"),
        Past::Failed | Past::Final => Some("rest Failed"),
    };
    let start = |reason| {
        if locked {
            "rest Pending"
        } else {
            blocked.unwrap_or(reason)
        }
    };
    match (desired, state, grip) {
        (DesiredInstance::Removed { .. }, ..) => "remove",
        (DesiredInstance::Stopped, None | Some((RunState::Exited(_), _)), _) => "rest Stopped",
        (DesiredInstance::Stopped, ..) => "stop",
        (_, None, Grip::None) => start("start Wanted"),
        (_, None, _) => "crash",
        (_, Some((RunState::Running, true)), Grip::None) => "adopt",
        (_, Some((RunState::Running, true)), Grip::Started) => blocked.unwrap_or("probe"),
        (_, Some((RunState::Running, true)), Grip::Healthy) => "rest Running",
        (_, Some((RunState::Running, false)), _) => start("start Changed"),
        (_, Some((RunState::Exited(_), true)), Grip::Started | Grip::Healthy) => "crash",
        (_, Some((RunState::Partial, _)), Grip::Started | Grip::Healthy) => "crash",
        (_, Some((RunState::Exited(_) | RunState::Partial, _)), _) => start("start Ended"),
    }
}

fn name(step: &Step) -> String {
    match step {
        Step::Start(reason) => format!("start {reason:?}"),
        Step::Adopt => "adopt".to_owned(),
        Step::Probe => "probe".to_owned(),
        Step::Admit => "admit".to_owned(),
        Step::NoteCrash(_) => "crash".to_owned(),
        Step::Stop => "stop".to_owned(),
        Step::Remove { .. } => "remove".to_owned(),
        Step::Rest { phase, .. } => format!("rest {phase:?}"),
    }
}

#[test]
fn every_situation_has_the_right_step() {
    let states: Vec<Option<(RunState, bool)>> = std::iter::once(None)
        .chain(
            [RunState::Running, RunState::Partial, exited()]
                .into_iter()
                .flat_map(|state| [Some((state.clone(), true)), Some((state, false))]),
        )
        .collect();
    let mut seen = 0;
    for desired in DESIRED {
        for state in &states {
            for grip in &GRIPS {
                for past in PASTS {
                    for locked in [false, true] {
                        let mut spec = spec();
                        spec.desired = desired;
                        let there = state
                            .as_ref()
                            .map(|(state, same)| observed(&spec, state.clone(), *same));
                        let history = history(past);
                        let step = plan(&Situation {
                            spec: &spec,
                            observed: there.as_ref(),
                            grip,
                            history: &history,
                            admission_due: false,
                            locked,
                            now: NOW,
                        });
                        let right = expected(desired, state.as_ref(), grip, past, locked);
                        assert_eq!(
                            name(&step),
                            right,
                            "{desired:?} {state:?} {grip:?} {past:?} locked={locked}"
                        );
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 4 * 7 * 3 * 5 * 2);
}

#[test]
fn who_may_reach_its_port_is_said_again_while_it_serves_and_at_no_other_time() {
    for state in [RunState::Running, RunState::Partial, exited()] {
        for grip in &GRIPS {
            let spec = spec();
            let there = observed(&spec, state.clone(), true);
            let step = |admission_due| {
                plan(&Situation {
                    spec: &spec,
                    observed: Some(&there),
                    grip,
                    history: &History::default(),
                    admission_due,
                    locked: false,
                    now: NOW,
                })
            };
            let serves = state == RunState::Running && *grip == Grip::Healthy;
            let right = if serves { Step::Admit } else { step(false) };
            assert_eq!(step(true), right, "{state:?} {grip:?}");
        }
    }
}

#[test]
fn a_wait_says_when_it_ends() {
    let spec = spec();
    for (past, until) in [
        (Past::Waiting, Some(NOW + Duration::from_secs(1))),
        (Past::Failed, Some(NOW + Duration::from_secs(300))),
        (Past::Final, None),
    ] {
        let history = history(past);
        let step = plan(&Situation {
            spec: &spec,
            observed: None,
            grip: &Grip::None,
            history: &history,
            admission_due: false,
            locked: false,
            now: NOW,
        });
        assert!(
            matches!(step, Step::Rest { until: found, .. } if found == until),
            "{past:?}: {step:?}"
        );
    }
}

#[test]
fn purging_is_passed_on() {
    for purge_data in [false, true] {
        let mut spec = spec();
        spec.desired = DesiredInstance::Removed { purge_data };
        let step = plan(&Situation {
            spec: &spec,
            observed: None,
            grip: &Grip::None,
            history: &History::default(),
            admission_due: false,
            locked: false,
            now: NOW,
        });
        assert_eq!(step, Step::Remove { purge_data });
    }
}
