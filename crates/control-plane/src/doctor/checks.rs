//! One judgement each. Pure; every detail of something wrong ends with what to do.

use agentopia_domain::catalog::CatalogStatus;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::verification::Check;

use super::Patient;
use super::words::meanings;

/// What is said of the last lines at most.
const MEANINGS: usize = 3;
/// Longer lines are cut, characters.
const LINE: usize = 300;

pub(super) fn machine(patient: &Patient) -> Check {
    use EnvironmentStatus as S;
    const NAME: &str = "machine";
    let Some(environment) = &patient.environment else {
        return Check::skipped(NAME, "the server runs elsewhere and needs no machine");
    };
    let why = environment
        .error_message
        .as_deref()
        .unwrap_or("no reason is known");
    match environment.status {
        S::Active => Check::ok(NAME, "it is active"),
        S::Scaling => Check::warning(
            NAME,
            "it changes its size, and its tools are away meanwhile; `agentopia env show` tells how far it is",
        ),
        S::PendingCreation | S::Creating => Check::warning(
            NAME,
            "it is being made, and the tool starts as soon as it is there; `agentopia env show` tells how far it is",
        ),
        S::Unresponsive => Check::failed(
            NAME,
            "it was not heard for a while: what runs on it may go on, and nobody can reach it; `agentopia env show` \
             tells since when",
        ),
        S::ErrorCreation => Check::failed(
            NAME,
            format!("it could not be made: {why}; then `agentopia env enable` tries again"),
        ),
        S::PendingDeletion | S::Deleting | S::Deleted | S::ErrorDeletion => Check::failed(
            NAME,
            "the environment is turned off: `agentopia env enable` turns it on again",
        ),
    }
}

pub(super) fn settings(patient: &Patient) -> Check {
    const NAME: &str = "settings";
    match &patient.settings_problem {
        None => Check::ok(NAME, "they fit what the catalog says"),
        Some(problem) => Check::failed(
            NAME,
            format!("{problem}: `agentopia tools update` with --set mends it"),
        ),
    }
}

pub(super) fn secrets(patient: &Patient) -> Check {
    const NAME: &str = "secrets";
    if let [first, ..] = patient.lost_secrets.as_slice() {
        return Check::failed(
            NAME,
            format!(
                "there is no value any more for {}: `agentopia secrets set`, then `agentopia tools update TOOL \
                 --secret {first}=SECRET_NAME`",
                patient.lost_secrets.join(", ")
            ),
        );
    }
    let has = |name: &str| patient.instance.secrets.contains_key(name);
    let known = &patient.entry.secrets;
    let missing: Vec<&str> = known
        .iter()
        .filter(|secret| secret.required && !secret.per_link && !has(&secret.name))
        .map(|secret| secret.name.as_str())
        .collect();
    match missing.as_slice() {
        [] if known.is_empty() => Check::ok(NAME, "it needs none"),
        [] => Check::ok(NAME, "all that it requires have a value"),
        [first, ..] => Check::failed(
            NAME,
            format!(
                "it requires {}: `agentopia tools update TOOL --secret {first}=SECRET_NAME`",
                missing.join(", ")
            ),
        ),
    }
}

pub(super) fn login(patient: &Patient) -> Option<Check> {
    patient.instance.remote.as_ref()?;
    Some(match &patient.login_problem {
        None => Check::ok("login", "nothing is wanting"),
        Some(problem) => Check::failed("login", problem.clone()),
    })
}

pub(super) fn status(patient: &Patient) -> Check {
    use InstanceStatus as S;
    const NAME: &str = "status";
    let instance = &patient.instance;
    let doing = instance
        .progress
        .as_deref()
        .unwrap_or("nothing is told yet");
    match instance.status {
        S::Running if instance.observed_generation < instance.generation => Check::warning(
            NAME,
            "it runs, and its machine has not done the last change yet; look again in a moment",
        ),
        S::Running => Check::ok(NAME, "it runs"),
        S::PendingStart | S::Starting => Check::warning(NAME, format!("it is starting: {doing}")),
        S::Asleep => Check::ok(
            NAME,
            "it sleeps because nobody used it; the next call wakes it",
        ),
        S::Stopping => Check::warning(NAME, "it is being stopped"),
        S::Stopped => Check::warning(
            NAME,
            "its owner stopped it: `agentopia tools start` starts it",
        ),
        S::ErrorRuntime => Check::failed(
            NAME,
            instance
                .error_message
                .clone()
                .unwrap_or_else(|| "it can't run, and no reason is known".to_owned()),
        ),
        S::PendingRemoval | S::Removed => Check::failed(
            NAME,
            "it was removed; `agentopia tools deploy` makes another one",
        ),
    }
}

pub(super) fn answer(patient: &Patient) -> Check {
    const NAME: &str = "answer";
    match &patient.answer {
        None => Check::skipped(NAME, "it is asked only while it runs"),
        Some(Ok((0, took))) => Check::warning(
            NAME,
            format!(
                "it answers MCP (in {} ms) and offers no function at all; its settings or secrets may say which ones",
                took.as_millis()
            ),
        ),
        Some(Ok((count, took))) => Check::ok(
            NAME,
            format!(
                "it answers MCP in {} ms and offers {count} function{}",
                took.as_millis(),
                if *count == 1 { "" } else { "s" }
            ),
        ),
        Some(Err(why)) => Check::failed(
            NAME,
            format!("{why}; its log says more: `agentopia tools logs`"),
        ),
    }
}

pub(super) fn restarts(patient: &Patient) -> Option<Check> {
    const NAME: &str = "restarts";
    match patient.instance.runtime.restarts {
        _ if patient.instance.remote.is_some() => None,
        0 => Some(Check::ok(NAME, "it did not crash since its last change")),
        count => Some(Check::warning(
            NAME,
            format!("it crashed and was started again, {count} times since its last change"),
        )),
    }
}

/// What its last lines mean. That there is a word of trouble in the log of a tool that answers proves nothing,
/// so it is worth a warning only where something else is wrong.
pub(super) fn log(patient: &Patient) -> Vec<Check> {
    const NAME: &str = "log";
    if patient.instance.remote.is_some() {
        return Vec::new();
    }
    let lines = match &patient.log {
        Ok(lines) => lines,
        Err(why) => {
            let skipped = Check::skipped(NAME, format!("it can't be read: {why}"));
            return vec![skipped];
        }
    };
    if matches!(patient.answer, Some(Ok(_))) || patient.instance.status == InstanceStatus::Asleep {
        return Vec::new();
    }
    // The machine's own sentence about a failure ends with the tool's last words.
    let told = patient
        .instance
        .error_message
        .as_deref()
        .unwrap_or_default();
    let all: Vec<String> = lines
        .iter()
        .map(String::as_str)
        .chain(told.lines())
        .map(str::to_owned)
        .collect();
    let found = meanings(&all, &unset(patient));
    found
        .into_iter()
        .take(MEANINGS)
        .map(|meaning| {
            let line: String = meaning.line.trim().chars().take(LINE).collect();
            Check::warning(NAME, format!("{:?}: {}", line, meaning.advice))
        })
        .collect()
}

/// Variables that the tool knows and that have no value.
fn unset(patient: &Patient) -> Vec<String> {
    let secrets = patient.entry.secrets.iter();
    secrets
        .map(|secret| secret.name.clone())
        .filter(|name| !patient.instance.secrets.contains_key(name))
        .collect()
}

pub(super) fn version(patient: &Patient) -> Check {
    const NAME: &str = "version";
    let (entry, version) = (&patient.entry, &patient.instance.version);
    if entry.version(version).is_none() {
        return Check::warning(
            NAME,
            format!(
                "the catalog has no version {version} of `{}` any more: what runs goes on, and can't be started anew \
                 on another machine",
                entry.slug
            ),
        );
    }
    match entry.status {
        CatalogStatus::Deprecated => Check::warning(
            NAME,
            format!(
                "{version}; `{}` is deprecated: look for another tool (`agentopia catalog list`)",
                entry.slug
            ),
        ),
        CatalogStatus::Archived => Check::warning(
            NAME,
            format!(
                "{version}; `{}` takes no new instances any more",
                entry.slug
            ),
        ),
        _ if *version != entry.default_version => Check::ok(
            NAME,
            format!("{version}; new instances get {}", entry.default_version),
        ),
        _ => Check::ok(NAME, version.clone()),
    }
}

pub(super) fn links(patient: &Patient) -> Check {
    const NAME: &str = "agents";
    match patient.links {
        (0, _) => Check::warning(
            NAME,
            "no agent may use it: `agentopia agents link AGENT TOOL` lets one",
        ),
        (all, 0) => Check::warning(
            NAME,
            format!(
                "{all} linked, and every link is switched off: `agentopia agents link` switches one on"
            ),
        ),
        (all, on) => Check::ok(NAME, format!("{on} of {all} linked may use it")),
    }
}
