//! What the simulation itself has to hold: the same seed is the same run, nothing is wrong where
//! nothing goes wrong, and it sees what is wrong. The runs that count are in `script/test sim`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails where it stands"
)]

use agentopia_simulation::{Blow, SCENARIOS, Schedule, Strike, Template, Verdict, run};

fn runs(schedule: &Schedule, name: &str) -> Verdict {
    run(&Template::make().unwrap(), schedule, name).unwrap()
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_line() {
    let template = Template::make().unwrap();
    for seed in [1, 4, 6, 43] {
        let schedule = Schedule::random(seed);
        let first = run(&template, &schedule, "first").unwrap();
        // Under another installation's keys, too: nothing of them is in a run.
        let second = runs(&schedule, "second");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.hash, second.hash);
        assert!(first.trace.len() > 20, "{:?}", first.trace);
    }
}

#[test]
fn another_seed_is_another_run() {
    let [one, other] = [7, 8].map(|seed| runs(&Schedule::random(seed), "one").hash);
    assert_ne!(one, other);
}

#[test]
fn nothing_is_wrong_where_nothing_goes_wrong() {
    for scenario in SCENARIOS {
        let verdict = runs(&scenario.schedule(Vec::new()), "calm");
        assert_eq!(verdict.wrong, [] as [String; 0], "{}", scenario.name);
    }
}

#[test]
fn a_replica_that_dies_is_started_again_and_another_life_finishes_the_work() {
    let crash = Strike {
        at: 3,
        blow: Blow::CrashAfter,
    };
    let verdict = runs(&SCENARIOS[0].schedule(vec![crash]), "crash");
    assert_eq!(verdict.wrong, [] as [String; 0]);
    let said = |what: &str| verdict.trace.iter().any(|line| line.contains(what));
    assert!(said("replica 1 dies") && said("replica 2 starts"));
    assert!(said(
        "replica 2: environment.status_changed: The tool environment is active"
    ));
}
