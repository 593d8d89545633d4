//! Looks for a secret wherever it must not be.

use agentopia_domain::InstanceId;

use crate::{Cluster, docker, leaks, process};

/// A secret is in no file, no log, no list of processes, no description of a container: only in the
/// memory of the instance's own processes.
///
/// # Errors
/// Where it is, or what could not be looked at.
pub async fn nowhere(cluster: &Cluster, id: InstanceId, secret: &str) -> anyhow::Result<()> {
    let machine = cluster.machine().await?;
    for dir in [cluster.root().to_owned(), machine.run_dir()?] {
        let found = leaks::files_with(&dir, secret.as_bytes());
        anyhow::ensure!(found.is_empty(), "the secret stands in {found:?}");
    }
    let tests = process::Process::of(i32::try_from(std::process::id())?);
    let mut of_tool = Vec::new();
    if cluster.has_docker() {
        let container = machine.container(id).await?;
        let seen = docker::inspect("container", &container).await?;
        anyhow::ensure!(
            !seen.to_string().contains(secret),
            "the secret stands in `docker inspect`"
        );
        of_tool = docker::processes(&container).await?;
        // The engine's own files, which hold what it was told of the container.
        let root = docker::docker(&["info", "--format", "{{.DockerRootDir}}"]).await?;
        let dir = std::path::Path::new(&root)
            .join("containers")
            .join(&container);
        let found = leaks::files_with(&dir, secret.as_bytes());
        anyhow::ensure!(found.is_empty(), "the secret stands in {found:?}");
    } else {
        of_tool.extend(machine.tool_processes(id)?);
    }
    for process in process::all() {
        if Some(process) == tests {
            continue;
        }
        anyhow::ensure!(
            !process.command_line().contains(secret),
            "the secret is an argument of process {}",
            process.pid
        );
        let environ = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let holds = leaks::contains(&environ, secret.as_bytes());
        anyhow::ensure!(
            !holds || of_tool.contains(&process),
            "the secret is in the environment of {} ({})",
            process.pid,
            process.command_line()
        );
    }
    Ok(())
}
