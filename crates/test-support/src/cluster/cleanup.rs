//! Cleaning up after tests that failed or were killed, so that they fail alone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use agentopia_domain::EnvironmentId;

use crate::process::Process;
use crate::wait::wait_for;
use crate::{docker, process, small_disk};

/// Cluster directories begin with this, followed by the process that made them.
const PREFIX: &str = "agentopia-e2e-";
/// So much of each log is printed for a test that failed.
const TAIL: usize = 12_000;

/// A directory for a cluster of this process.
pub(crate) fn root() -> anyhow::Result<tempfile::TempDir> {
    let own = i32::try_from(std::process::id()).ok().and_then(Process::of);
    let own = own.ok_or_else(|| anyhow::anyhow!("/proc does not know this process"))?;
    let prefix = format!("{PREFIX}{}-{}-", own.pid, own.started);
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir()?)
}

/// For killed processes to be gone, with what they hold.
const GONE: Duration = Duration::from_secs(10);

/// Cleans up after test processes that were killed.
///
/// # Errors
/// When something of theirs does not die.
pub(crate) async fn stale() -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| {
                let mut parts = rest.split('-');
                Some(Process {
                    pid: parts.next()?.parse().ok()?,
                    started: parts.next()?.parse().ok()?,
                })
            });
        if maker.is_some_and(|maker| !maker.is_alive()) {
            let killed = force(&entry.path());
            wait_for(GONE, "what a killed test left to die", async || {
                let alive: Vec<_> = killed.iter().filter(|it| it.is_alive()).collect();
                anyhow::ensure!(alive.is_empty(), "{alive:?}");
                Ok(())
            })
            .await?;
            small_disk::unmount(&entry.path().join("data"));
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// The environments that have or had a machine below a data directory.
pub(crate) fn environments(data_dir: &Path) -> Vec<EnvironmentId> {
    let Ok(entries) = std::fs::read_dir(data_dir.join("machines")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Takes away everything of a cluster, whatever state it is in. Gives the processes that it killed, which
/// take a moment to die.
pub(crate) fn force(root: &Path) -> Vec<Process> {
    let data = root.join("data");
    let environments = environments(&data);
    // A control plane is told its directory by its environment; one that lives on would go on
    // looking after machines that are somebody else's by now.
    let told = process::with_variable(&format!("AGENTOPIA_DATA_DIR={}", data.display()));
    let mut killed = process::of_directory(root);
    killed.extend(told);
    for environment in &environments {
        let of_machine = format!("AGENTOPIA_ENVIRONMENT={environment}");
        killed.extend(process::with_variable(&of_machine));
    }
    for process in &killed {
        process.kill();
    }
    for environment in environments {
        let label = format!("label={}={environment}", docker::ENVIRONMENT);
        for (what, list, remove) in [
            ("container", &["ls", "-aq"][..], &["rm", "-f", "-v"][..]),
            ("network", &["ls", "-q"], &["rm"]),
            ("volume", &["ls", "-q"], &["rm", "-f"]),
        ] {
            let found = run(&[&[what], list, &["--filter", &label]].concat());
            let ids: Vec<&str> = found.lines().collect();
            if !ids.is_empty() {
                run(&[&[what], remove, &ids].concat());
            }
        }
        let _ = std::fs::remove_dir_all(Path::new("/run/agentopia").join(environment.to_string()));
    }
    killed
}

fn run(args: &[&str]) -> String {
    let output = Command::new("docker")
        .args(args)
        .stdin(Stdio::null())
        .output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// Every log below a cluster's directory.
pub(crate) fn logs(root: &Path) -> String {
    log_files(root)
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect::<Vec<_>>()
        .join("\n")
}

fn log_files(root: &Path) -> Vec<String> {
    let mut files = crate::leaks::below(root);
    files.retain(|path| {
        path.ends_with("dtma.log")
            || path.ends_with("simulator.log")
            || (path.ends_with(".log") && path.contains("control-plane-"))
    });
    files.sort();
    files
}

/// Prints the ends of all logs, for a test that failed.
#[expect(
    clippy::print_stderr,
    reason = "the test runner shows this for a test that failed"
)]
pub(crate) fn report(root: &Path) {
    for path in log_files(root) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let from = text.len().saturating_sub(TAIL);
        let from = (from..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        eprintln!("==> {path}\n{}", &text[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control plane knows its directory from its environment only, a simulator from its arguments.
    #[tokio::test]
    async fn what_a_killed_test_left_is_taken_away() {
        let mut test = Command::new("sleep").arg("1000").spawn().unwrap();
        let maker = Process::of(i32::try_from(test.id()).unwrap()).unwrap();
        let root = std::env::temp_dir().join(format!("{PREFIX}{}-{}-x", maker.pid, maker.started));
        std::fs::create_dir(&root).unwrap();
        let mut control_plane = Command::new("sleep");
        control_plane
            .arg("1000")
            .env("AGENTOPIA_DATA_DIR", root.join("data"));
        let mut simulator = Command::new("tail");
        simulator.arg("-F").arg(root.join("simulator.toml"));
        let mut left = [control_plane, simulator]
            .map(|mut command| command.stderr(Stdio::null()).spawn().unwrap());
        let alive =
            |child: &std::process::Child| Process::of(i32::try_from(child.id()).unwrap()).is_some();
        stale().await.unwrap();
        assert!(left.iter().all(alive) && root.exists(), "the test goes on");
        test.kill().unwrap();
        test.wait().unwrap();
        stale().await.unwrap();
        assert!(!left.iter().any(alive) && !root.exists());
        for child in &mut left {
            child.wait().unwrap();
        }
    }
}
