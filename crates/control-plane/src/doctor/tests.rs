//! A patient in good health, and what is found when one thing is wrong with it.

use std::collections::BTreeMap;

use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::verification::Outcome;
use agentopia_domain::{Ambient, SecretId};
use serde_json::json;

use super::*;
use crate::testing;

fn healthy() -> Patient {
    let ambient = Ambient::system();
    let entry = json!({
        "slug": "clock", "name": "Clock", "description": "Tells the time", "status": "available",
        "packaging": {"type": "docker_image", "image": "127.0.0.1:5000/tools/clock"},
        "versions": [{"version": "1"}], "default_version": "1",
        "secrets": [{"name": "API_KEY"}, {"name": "OTHER_KEY", "required": false}],
    });
    Patient {
        instance: Instance {
            secrets: BTreeMap::from([("API_KEY".to_owned(), ambient.new_id::<SecretId>())]),
            ..testing::instance()
        },
        entry: serde_json::from_value(entry).unwrap(),
        environment: None,
        settings_problem: None,
        lost_secrets: Vec::new(),
        login_problem: None,
        links: (2, 1),
        answer: Some(Ok((3, Duration::from_millis(4)))),
        log: Ok(vec!["permission denied: /x".to_owned()]),
    }
}

/// Name, outcome and detail of all that is not as it should be.
fn wrong(patient: &Patient) -> Vec<(String, Outcome, String)> {
    let found = diagnose(patient).into_iter();
    let found = found.filter(|check| !matches!(check.outcome, Outcome::Ok | Outcome::Skipped));
    found
        .map(|check| (check.name, check.outcome, check.detail))
        .collect()
}

/// The one thing that is wrong after `change`.
fn only(change: impl FnOnce(&mut Patient)) -> (String, Outcome, String) {
    let mut patient = healthy();
    change(&mut patient);
    let mut wrong = wrong(&patient);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong.remove(0)
}

#[test]
fn nothing_is_wrong_with_what_serves_whatever_its_log_says() {
    assert_eq!(wrong(&healthy()), []);
    let names: Vec<String> = diagnose(&healthy()).into_iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        [
            "machine", "settings", "secrets", "status", "answer", "restarts", "version", "agents"
        ]
    );
}

#[test]
fn each_thing_that_is_wrong_is_named_with_what_to_do() {
    use Outcome::{Failed, Warning};
    type Change = fn(&mut Patient);
    let cases: [(Change, &str, Outcome, &str); 10] = [
        (
            |it| it.settings_problem = Some("config.zone: is no zone".into()),
            "settings",
            Failed,
            "is no zone",
        ),
        (
            |it| it.lost_secrets = vec!["API_KEY".into()],
            "secrets",
            Failed,
            "--secret API_KEY=",
        ),
        (
            |it| it.instance.secrets.clear(),
            "secrets",
            Failed,
            "requires API_KEY",
        ),
        (
            |it| it.instance.generation = 3,
            "status",
            Warning,
            "last change",
        ),
        (
            |it| it.answer = Some(Ok((0, Duration::ZERO))),
            "answer",
            Warning,
            "no function",
        ),
        (
            |it| it.instance.runtime.restarts = 2,
            "restarts",
            Warning,
            "2 times",
        ),
        (
            |it| it.instance.version = "0".into(),
            "version",
            Warning,
            "no version 0",
        ),
        (|it| it.links = (0, 0), "agents", Warning, "agents link"),
        (|it| it.links = (3, 0), "agents", Warning, "switched off"),
        (
            |it| {
                it.instance.status = InstanceStatus::Stopped;
                it.answer = None;
                it.log = Ok(Vec::new());
            },
            "status",
            Warning,
            "tools start",
        ),
    ];
    for (change, name, outcome, part) in cases {
        let found = only(change);
        assert_eq!((found.0.as_str(), found.1), (name, outcome), "{found:?}");
        assert!(found.2.contains(part), "{found:?}");
    }
}

#[test]
fn the_last_words_of_what_failed_are_explained() {
    let mut patient = healthy();
    patient.instance.status = InstanceStatus::ErrorRuntime;
    patient.instance.error_message =
        Some("the tool ended before it answered initialize: exit code 1".to_owned());
    patient.answer = None;
    patient.log = Ok(["starting", "Error: OTHER_KEY is not set"]
        .map(str::to_owned)
        .into());
    let found = wrong(&patient);
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["status", "log"], "{found:?}");
    assert!(found[1].2.contains("--secret OTHER_KEY="), "{found:?}");
    // Without its log there are the words that its machine sent along.
    patient.log = Err("its machine does not answer".to_owned());
    assert_eq!(wrong(&patient).len(), 1);
}

#[test]
fn only_what_runs_or_sleeps_is_well() {
    for status in InstanceStatus::ALL {
        let mut patient = healthy();
        patient.instance.status = status;
        let check = checks::status(&patient);
        let is_well = matches!(status, InstanceStatus::Running | InstanceStatus::Asleep);
        assert_eq!(
            check.outcome == Outcome::Ok,
            is_well,
            "{status:?}: {check:?}"
        );
    }
}
