//! Ends processes that carry a mark of ours: what outlived a killed DTMA, and children that a tool
//! put into sessions of their own.
//!
//! The mark is an environment variable, inherited by everything that a tool starts. It survives
//! what process groups and process ids do not: `setsid`, double forks, a dead leader, reuse of
//! numbers.

use std::fs;

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

/// So many times: a process that is forking while we look can get away once.
const ROUNDS: usize = 5;

/// Kills every marked process. Returns how many there were.
pub(super) async fn end(marked: Marked) -> usize {
    let counted = tokio::task::spawn_blocking(move || {
        let variable = marked.variable();
        let mut ended = 0;
        for _ in 0..ROUNDS {
            let found = find(&variable);
            if found.is_empty() {
                break;
            }
            ended += found.len();
            for pid in found {
                // Gone already is fine.
                let _ = kill(pid, Signal::SIGKILL);
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

/// Processes whose environment holds `variable` and that still run.
pub(super) fn find(variable: &str) -> Vec<Pid> {
    let own = Pid::this();
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| *pid != own)
        .filter(|pid| {
            // Empty for zombies and kernel threads, unreadable for other users' processes.
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == variable.as_bytes())
            })
        })
        .collect()
}
