//! Watching an instance until it runs, is stopped, or is gone.

use std::time::Duration;

use agentopia_api::instance::{Instance, LogStream};
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus;

use crate::app::App;
use crate::client::Client;
use crate::command::env;
use crate::failure::{Failure, Unsuccessful};
use crate::progress::Progress;
use crate::wait::{Look, WaitArgs, until};

/// How many lines of the log an error shows.
const LAST_WORDS: u32 = 20;
/// How long the log may take then.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// How often the machine is looked at while an instance waits for it: every so many looks.
const MACHINE_EVERY: u32 = 4;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Goal {
    Running,
    Stopped,
    Gone,
}

/// Waits for it, or returns at once if that is wanted, and writes the result.
pub(super) async fn reach(
    app: &App,
    client: &Client,
    asked: Instance,
    goal: Goal,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    if wait.detach {
        return app.out.result(&asked, || detached(&asked, goal));
    }
    let instance = watched(app, client, asked, goal, wait).await?;
    app.out.result(&instance, || reached(&instance, goal))
}

/// Waits until a tool that is being restarted runs, and writes no result.
pub(in crate::command) async fn until_running(
    app: &App,
    client: &Client,
    restarting: Instance,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    watched(app, client, restarting, Goal::Running, wait)
        .await
        .map(drop)
}

async fn watched(
    app: &App,
    client: &Client,
    asked: Instance,
    goal: Goal,
    wait: &WaitArgs,
) -> Result<Instance, Failure> {
    let mut progress = Progress::new(app.out);
    // What follows is written below the steps, which end when `progress` is dropped.
    watch(client, asked, goal, wait.wait_timeout, &mut progress).await
}

/// Waits until `goal` is reached, and writes nothing but progress.
pub(in crate::command) async fn watch(
    client: &Client,
    asked: Instance,
    goal: Goal,
    limit: Duration,
    progress: &mut Progress,
) -> Result<Instance, Failure> {
    let later = format!("agentopia tools show {}", quoted(asked.name.as_str()));
    let (id, mut last) = (asked.id, Some(asked));
    let mut looks = 0_u32;
    until(limit, progress, &later, async || {
        let instance = match last.take() {
            // The answer to what was asked is the first look.
            Some(asked) if looks == 0 => asked,
            _ => match client.instance(id).await {
                Err(error) if error.is_not_found() && goal == Goal::Gone => {
                    return Err(Failure::Said);
                }
                found => found?,
            },
        };
        looks += 1;
        if let Some(problem) = trouble(&instance, goal) {
            return Err(explain(client, &instance, problem).await);
        }
        if is_reached(instance.status, goal) {
            return Ok(Look::Done(instance));
        }
        let waits_for_machine = instance.status == InstanceStatus::PendingStart;
        if waits_for_machine
            && looks > 1
            && looks % MACHINE_EVERY == 1
            && let Some(step) = machine(client).await?
        {
            return Ok(Look::Going(step));
        }
        Ok(Look::Going(step(&instance)))
    })
    .await
}

fn is_reached(status: InstanceStatus, goal: Goal) -> bool {
    matches!(
        (goal, status),
        (Goal::Running, InstanceStatus::Running)
            | (Goal::Stopped, InstanceStatus::Stopped)
            | (Goal::Gone, InstanceStatus::Removed)
    )
}

/// Why the goal will not be reached, if it is known already.
fn trouble(instance: &Instance, goal: Goal) -> Option<String> {
    use InstanceStatus as S;
    match (goal, instance.status) {
        (Goal::Running, S::ErrorRuntime) => Some(
            instance
                .error_message
                .clone()
                .unwrap_or_else(|| "it can't run, and nobody said why".to_owned()),
        ),
        (Goal::Running, S::Stopping | S::Stopped) => {
            Some("somebody stopped it in the meantime".to_owned())
        }
        (Goal::Running | Goal::Stopped, S::PendingRemoval | S::Removed) => {
            Some("somebody removed it in the meantime".to_owned())
        }
        (Goal::Stopped, S::PendingStart | S::Starting | S::Running)
            if instance.desired == agentopia_domain::instance::DesiredInstance::Running =>
        {
            Some("somebody started it in the meantime".to_owned())
        }
        _ => None,
    }
}

/// What keeps the machine from taking the instance; `None` when it is ready.
async fn machine(client: &Client) -> Result<Option<String>, Failure> {
    let Some(environment) = client.environment().await? else {
        return Ok(None);
    };
    match environment.status {
        EnvironmentStatus::ErrorCreation => Err(env::failed(&environment)),
        status if status.serves() && status != EnvironmentStatus::Unresponsive => Ok(None),
        status => Ok(Some(env::step(status).to_owned())),
    }
}

/// What an instance does right now.
pub(super) fn step(instance: &Instance) -> String {
    use InstanceStatus as S;
    let usual = match instance.status {
        S::PendingStart => "waiting for the machine to take it",
        S::Starting => "starting",
        S::Running => "running",
        S::Stopping => "stopping",
        S::Stopped => "stopped",
        S::Asleep => "asleep; the next call starts it",
        S::ErrorRuntime => "can't run",
        S::PendingRemoval => "removing",
        S::Removed => "removed",
    };
    instance
        .progress
        .as_deref()
        .filter(|text| !text.is_empty())
        .unwrap_or(usual)
        .to_owned()
}

async fn explain(client: &Client, instance: &Instance, message: String) -> Failure {
    let name = quoted(instance.name.as_str());
    let failed = instance.status == InstanceStatus::ErrorRuntime;
    // The machine often quotes the log in its message, with the secrets taken out: then the log is
    // not shown besides.
    let quoted_already = message.contains("its last words:");
    let (log, hints) = if failed {
        let hints = vec![
            format!("see its log with: agentopia tools logs {name}"),
            format!("try again with: agentopia tools restart {name}"),
        ];
        let log = if quoted_already {
            Vec::new()
        } else {
            last_words(client, instance).await
        };
        (log, hints)
    } else {
        (
            Vec::new(),
            vec![format!("look with: agentopia tools show {name}")],
        )
    };
    Failure::Unsuccessful(Box::new(Unsuccessful {
        code: "instance_failed",
        message: format!("{}: {message}", instance.name),
        log,
        hints,
    }))
}

/// The last lines of standard error. The log is only a help: without it the error still stands.
async fn last_words(client: &Client, instance: &Instance) -> Vec<String> {
    let read = async {
        let mut reader = client.logs(instance.id, LAST_WORDS, false).await?;
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await? {
            if line.stream == LogStream::Stderr {
                lines.push(line.line);
            }
        }
        Ok::<_, crate::client::ClientError>(lines)
    };
    match tokio::time::timeout(LOG_PATIENCE, read).await {
        Ok(Ok(lines)) => lines,
        _ => Vec::new(),
    }
}

fn detached(instance: &Instance, goal: Goal) -> String {
    let doing = match goal {
        Goal::Running => "is being started",
        Goal::Stopped => "is being stopped",
        Goal::Gone => "is being removed",
    };
    let name = &instance.name;
    format!(
        "{name} {doing}; look with: agentopia tools show {}",
        quoted(name.as_str())
    )
}

fn reached(instance: &Instance, goal: Goal) -> String {
    let name = &instance.name;
    match goal {
        Goal::Running => format!("{name} is running at {}", instance.mcp_url),
        Goal::Stopped => format!("{name} is stopped"),
        Goal::Gone => format!("{name} is removed"),
    }
}

/// A name as a shell takes it.
pub(crate) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance(status: &str, desired: &str) -> Instance {
        let id = uuid::Uuid::from_u128(1);
        let resources = json!({"cpu_millis": 1, "memory_bytes": 1});
        let now = "2026-01-01T00:00:00Z";
        serde_json::from_value(json!({
            "id": id, "name": "my echo", "catalog_entry_id": id, "environment_id": id,
            "version": "1", "running_version": null, "config": {}, "secrets": {},
            "resources": resources, "desired": {"state": desired}, "generation": 1,
            "observed_generation": 0, "status": status, "progress": null,
            "error_message": "the image is not there", "runtime": {}, "mcp_url": "u",
            "created_at": now, "updated_at": now,
        }))
        .unwrap()
    }

    #[test]
    fn what_can_not_come_about_is_not_waited_for() {
        let failed = instance("error_runtime", "running");
        assert_eq!(
            trouble(&failed, Goal::Running).as_deref(),
            Some("the image is not there")
        );
        assert_eq!(trouble(&failed, Goal::Gone), None);
        assert!(trouble(&instance("stopped", "stopped"), Goal::Running).is_some());
        assert!(trouble(&instance("starting", "running"), Goal::Stopped).is_some());
        assert_eq!(
            trouble(&instance("stopping", "stopped"), Goal::Stopped),
            None
        );
        for status in ["pending_start", "starting", "running"] {
            assert_eq!(trouble(&instance(status, "running"), Goal::Running), None);
        }
    }

    #[test]
    fn every_goal_has_its_status() {
        for (goal, status) in [
            (Goal::Running, InstanceStatus::Running),
            (Goal::Stopped, InstanceStatus::Stopped),
            (Goal::Gone, InstanceStatus::Removed),
        ] {
            for other in InstanceStatus::ALL {
                assert_eq!(
                    is_reached(other, goal),
                    other == status,
                    "{goal:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn names_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("echo-1"), "echo-1");
        assert_eq!(quoted("my echo"), "'my echo'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
