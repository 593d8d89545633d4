//! Ends processes that carry a mark of ours: what outlived a killed DTMA, and children that a tool
//! put into sessions of their own.
//!
//! The mark is an environment variable, inherited by everything that a tool starts. It survives
//! what process groups and process ids do not: `setsid`, double forks, a dead leader, reuse of
//! numbers.

use std::fs;
use std::time::Duration;

use agentopia_domain::{EnvironmentId, InstanceId};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{MARK_ENVIRONMENT, MARK_INSTANCE};

/// Whose processes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Marked {
    Environment(EnvironmentId),
    Instance(InstanceId),
}

impl Marked {
    fn variable(self) -> String {
        match self {
            Self::Environment(id) => format!("{MARK_ENVIRONMENT}={id}"),
            Self::Instance(id) => format!("{MARK_INSTANCE}={id}"),
        }
    }
}

/// So many times: a process that is forking while we look can get away once, and one that is between two
/// programs shows no environment.
const ROUNDS: usize = 5;
/// Between two looks where somebody showed none: starting a program takes less than that. Nothing tells
/// when it has begun, and some processes never have an environment, so there is nothing to wait for.
const PAUSE: Duration = Duration::from_millis(2);

/// Kills every marked process. Returns how many there were.
pub(super) async fn end(marked: Marked) -> usize {
    let counted = tokio::task::spawn_blocking(move || {
        let variable = marked.variable();
        let mut ended = 0;
        for _ in 0..ROUNDS {
            let Seen { found, unclear } = look(&variable);
            if found.is_empty() && !unclear {
                break;
            }
            ended += found.len();
            for pid in &found {
                // Gone already is fine.
                let _ = kill(*pid, Signal::SIGKILL);
            }
            if found.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
        ended
    })
    .await;
    let ended = counted.unwrap_or(0);
    if ended > 0 {
        tracing::warn!(ended, ?marked, "processes that were left behind were ended");
    }
    ended
}

/// What one look at all processes shows.
pub(super) struct Seen {
    /// Those that carry the mark and still run.
    pub(super) found: Vec<Pid>,
    /// Whether a process runs that shows no environment, so that it could be one of them: the kernel shows
    /// none while a program takes the place of another (`execve`).
    unclear: bool,
}

/// Looks for processes whose environment holds `variable` and that still run.
pub(super) fn look(variable: &str) -> Seen {
    let own = Pid::this();
    let mut seen = Seen {
        found: Vec::new(),
        unclear: false,
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return seen;
    };
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| *pid != own);
    for pid in pids {
        // Unreadable for other users' processes.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            continue;
        };
        let mut entries = environment.split(|byte| *byte == 0);
        if entries.any(|entry| entry == variable.as_bytes()) {
            seen.found.push(pid);
        } else if environment.is_empty() && runs_a_program(pid) {
            seen.unclear = true;
        }
    }
    seen
}

/// Whether it is neither a zombie nor a thread of the kernel, which have no environment: those have no memory.
fn runs_a_program(pid: Pid) -> bool {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"));
    statm.is_ok_and(|text| !text.starts_with("0 "))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_zombie_runs_no_program() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !stat().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(!runs_a_program(pid), "{}", stat());
        child.wait().unwrap();
        assert!(runs_a_program(Pid::this()));
    }

    #[test]
    fn a_process_without_an_environment_is_unclear() {
        let mut child = Command::new("sleep")
            .arg("300")
            .env_clear()
            .spawn()
            .unwrap();
        let environ = format!("/proc/{}/environ", child.id());
        while !fs::read(&environ).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let seen = look("NOBODY=has this");
        assert!(seen.unclear && seen.found.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
