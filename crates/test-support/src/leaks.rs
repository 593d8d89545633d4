//! What a machine leaves behind when its environment is gone must be nothing (DTMA-9, ENV-8).

use std::path::Path;
use std::time::Duration;

use agentopia_domain::EnvironmentId;

use crate::wait::wait_for;
use crate::{docker, process};

/// Everything of an environment that is still there, each in one line.
///
/// # Errors
/// When the engine can't be asked.
pub async fn of_environment(
    environment: EnvironmentId,
    data_dir: &Path,
    with_docker: bool,
) -> anyhow::Result<Vec<String>> {
    let id = environment.to_string();
    let machine = data_dir.join("machines").join(&id);
    let mut left = Vec::new();
    for dir in [machine.clone(), Path::new("/run/agentopia").join(&id)] {
        if dir.exists() {
            left.push(format!("directory {}", dir.display()));
        }
    }
    let mut processes = process::of_directory(&machine);
    processes.extend(process::with_variable(&format!(
        "AGENTOPIA_ENVIRONMENT={id}"
    )));
    for process in processes {
        left.push(format!(
            "process {} ({})",
            process.pid,
            process.command_line()
        ));
    }
    if with_docker {
        for what in ["container", "network", "volume"] {
            for found in docker::with_label(what, docker::ENVIRONMENT, &id).await? {
                left.push(format!("{what} {found}"));
            }
        }
    }
    Ok(left)
}

/// Fails if anything is left. Processes get a moment to end.
///
/// # Errors
/// With everything that is left.
pub async fn none(
    environment: EnvironmentId,
    data_dir: &Path,
    with_docker: bool,
) -> anyhow::Result<()> {
    wait_for(
        Duration::from_secs(3),
        "nothing to be left behind",
        async || {
            let left = of_environment(environment, data_dir, with_docker).await?;
            anyhow::ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
            Ok(())
        },
    )
    .await
}

/// Fails if anything of one instance is left on a machine that goes on. A volume may stay.
///
/// # Errors
/// With everything that is left.
pub async fn none_of_instance(
    instance: agentopia_domain::InstanceId,
    run_dir: &Path,
    with_docker: bool,
    volume_stays: bool,
) -> anyhow::Result<()> {
    let id = instance.to_string();
    let mut left = Vec::new();
    for process in process::with_variable(&format!("AGENTOPIA_INSTANCE={id}")) {
        left.push(format!(
            "process {} ({})",
            process.pid,
            process.command_line()
        ));
    }
    for path in below(run_dir) {
        if path.contains(&id) {
            left.push(format!("file {path}"));
        }
    }
    if with_docker {
        for what in ["container", "network", "volume"] {
            let found = docker::with_label(what, docker::INSTANCE, &id).await?;
            if what == "volume" && volume_stays {
                anyhow::ensure!(found.len() == 1, "the volume of instance {id} did not stay");
                continue;
            }
            left.extend(found.into_iter().map(|found| format!("{what} {found}")));
        }
    }
    anyhow::ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
    Ok(())
}

/// Every path below `dir`.
#[must_use]
pub fn below(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            paths.extend(below(&path));
        }
        paths.push(path.to_string_lossy().into_owned());
    }
    paths
}

/// The files below `dir` that hold `needle` anywhere. Sockets and what vanishes are passed over.
#[must_use]
pub fn files_with(dir: &Path, needle: &[u8]) -> Vec<String> {
    below(dir)
        .into_iter()
        .filter(|path| {
            Path::new(path).is_file()
                && std::fs::read(path).is_ok_and(|content| contains(&content, needle))
        })
        .collect()
}

/// Whether `needle` stands in `content`.
#[must_use]
pub fn contains(content: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(content, needle).is_some()
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;

    use super::*;

    #[tokio::test]
    async fn what_is_left_is_seen() {
        let data = tempfile::tempdir().unwrap();
        let environment: EnvironmentId = Ambient::system().new_id();
        assert!(
            of_environment(environment, data.path(), false)
                .await
                .unwrap()
                .is_empty()
        );
        let machine = data.path().join("machines").join(environment.to_string());
        std::fs::create_dir_all(&machine).unwrap();
        let mark = format!("AGENTOPIA_ENVIRONMENT={environment}");
        let (name, value) = mark.split_once('=').unwrap();
        let mut by_directory = std::process::Command::new("sleep")
            .arg("1000")
            .current_dir(&machine)
            .spawn()
            .unwrap();
        let mut by_mark = std::process::Command::new("sleep")
            .arg("1000")
            .env(name, value)
            .spawn()
            .unwrap();
        let left = wait_for(Duration::from_secs(5), "all three", async || {
            let left = of_environment(environment, data.path(), false).await?;
            anyhow::ensure!(left.len() == 3, "{left:?}");
            Ok(left)
        })
        .await;
        for child in [&mut by_directory, &mut by_mark] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(left.is_ok(), "{left:?}");
        std::fs::remove_dir(machine).unwrap();
        none(environment, data.path(), false).await.unwrap();
    }

    #[test]
    fn a_secret_in_a_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("deep/file"), b"\0\xffcanary-1\0").unwrap();
        assert_eq!(files_with(dir.path(), b"canary-1").len(), 1);
        assert!(files_with(dir.path(), b"canary-2").is_empty());
    }
}
