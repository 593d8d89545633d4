use super::*;

fn program(name: &str) -> Program {
    Program {
        sha256: name.to_owned(),
        version: format!("1.0.{name}"),
    }
}

fn stamp(hours: i64) -> Stamp {
    Stamp {
        id: format!("at {hours}"),
        now: DateTime::UNIX_EPOCH + TimeDelta::hours(hours),
    }
}

fn at(hours: i64) -> DateTime<Utc> {
    stamp(hours).now
}

/// Runs `a` and has `b` on trial.
fn trying() -> State {
    let mut state = State::empty();
    state.begin(program("a"), program("b"));
    state
}

const NO_PAUSE: TimeDelta = TimeDelta::zero();

#[test]
fn a_trial_ends_with_the_new_one_or_the_one_before() {
    assert_eq!(State::empty().next(), Next::Installed);
    let mut good = trying();
    assert_eq!(good.next(), Next::Try(&program("b")));
    assert!(good.tries("b") && !good.tries("a"));
    good.confirm(stamp(1));
    assert_eq!(good.next(), Next::Run(&program("b")));
    assert_eq!(good.needed().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(good.report().unwrap().outcome, UpdateOutcome::Installed);

    let mut bad = trying();
    bad.fall_back(Fault::Crashed, "it ended".to_owned(), stamp(1));
    assert_eq!(bad.next(), Next::Run(&program("a")));
    let report = bad.report().unwrap();
    assert_eq!(report.outcome, UpdateOutcome::Rejected);
    assert_eq!(report.from_version, "1.0.a");
    assert_eq!(report.to_version.as_deref(), Some("1.0.b"));
}

#[test]
fn a_program_gets_three_starts_and_an_end_by_order_costs_none() {
    let mut state = trying();
    for _ in 0..5 {
        assert!(state.count_start());
        state.uncount_start();
    }
    for left in [true, true, false] {
        assert!(state.count_start());
        assert_eq!(state.has_starts_left(), left);
    }
    assert!(!state.count_start());
}

#[test]
fn what_crashed_is_never_tried_again_and_what_was_silent_three_times_in_all() {
    for fault in [Fault::Crashed, Fault::Refused, Fault::Other] {
        let mut state = trying();
        state.fall_back(fault, String::new(), stamp(0));
        assert!(!state.may_try("b", NO_PAUSE, at(10_000)), "{fault:?}");
        assert!(state.may_try("c", NO_PAUSE, at(0)));
    }
    let mut state = State::empty();
    for times in 1..=3 {
        let now = times * 10;
        assert!(state.may_try("b", NO_PAUSE, at(now)));
        state.begin(program("a"), program("b"));
        assert!(!state.may_try("c", NO_PAUSE, at(now)), "one at a time");
        state.fall_back(Fault::Silent, String::new(), stamp(now));
        assert!(!state.may_try("b", NO_PAUSE, at(now + 5)));
        assert_eq!(state.may_try("b", NO_PAUSE, at(now + 6)), times < 3);
    }
    assert!(!state.may_try("b", NO_PAUSE, at(1_000)));
}

#[test]
fn a_version_stays_for_the_pause_whatever_is_offered() {
    let mut state = trying();
    state.confirm(stamp(5));
    let pause = TimeDelta::hours(1);
    assert!(!state.may_try("c", pause, at(5)));
    assert!(state.may_try("c", pause, at(6)));
    assert!(state.may_try("c", pause, at(4)), "the clock was set back");
}

#[test]
fn only_so_many_bad_ones_are_remembered() {
    let mut state = State::empty();
    for number in 0..=REMEMBERED {
        let bad = program(&number.to_string());
        state.reject("1", &bad, Fault::Refused, String::new(), stamp(0));
    }
    assert_eq!(state.rejected.len(), REMEMBERED);
    assert!(state.may_try("0", NO_PAUSE, at(0)));
    assert!(!state.may_try("1", NO_PAUSE, at(0)));
}

#[test]
fn what_a_newer_version_wrote_is_understood_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let newer = r#"{"format": 1, "current": {"sha256": "a", "version": "9", "signed": true},
        "rejected": [{"sha256": "b", "fault": "haunted", "times": 1, "at": "2030-01-01T00:00:00Z"}],
        "report": {"outcome": "something new"}, "shadow": {"sha256": "c"}}"#;
    std::fs::write(directory.path().join("state.json"), newer).unwrap();
    let state = State::load(directory.path()).unwrap();
    assert!(matches!(state.next(), Next::Run(current) if current.sha256 == "a"));
    assert!(!state.may_try("b", NO_PAUSE, at(1_000_000)));
    assert_eq!(state.report(), None);
    state.save(directory.path()).unwrap();
    assert_eq!(State::load(directory.path()).unwrap(), state);
    assert_eq!(state.other["shadow"]["sha256"], "c");
}

#[test]
fn a_report_is_forgotten_when_it_was_taken_and_no_other() {
    let mut state = trying();
    state.confirm(stamp(1));
    state.reported("another");
    assert!(state.report().is_some());
    state.reported("at 1");
    assert_eq!(state.report(), None);
}
