//! The Docker engine, asked through its own command line (the product alone uses the API).

use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

use crate::process::Process;

/// The label that names the environment of everything the product makes.
pub const ENVIRONMENT: &str = "agentopia.environment";
/// The label that names the instance.
pub const INSTANCE: &str = "agentopia.instance";

/// Runs `docker` and gives its output.
///
/// # Errors
/// When it fails; with what it said.
pub async fn docker(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("docker")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .context("`docker` can't be run: run the tests with `script/test system`")?;
    anyhow::ensure!(
        output.status.success(),
        "docker {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Fails with what to do when no engine answers.
///
/// # Errors
/// When none does.
pub async fn need_engine() -> anyhow::Result<()> {
    docker(&["version", "--format", "{{.Server.Version}}"])
        .await
        .map(drop)
        .context(
            "no Docker Engine answers: run the tests with `script/test system`, which starts one",
        )
}

/// The ids of all containers (or networks, volumes: `what`) with a label.
///
/// # Errors
/// When the engine can't be asked.
pub async fn with_label(what: &str, label: &str, value: &str) -> anyhow::Result<Vec<String>> {
    let filter = format!("label={label}={value}");
    let mut args = vec![what, "ls", "-q", "--filter", &filter];
    if what == "container" {
        args.push("--all");
        args.push("--no-trunc");
    }
    Ok(docker(&args).await?.lines().map(str::to_owned).collect())
}

/// `docker inspect` of anything.
///
/// # Errors
/// When there is no such thing.
pub async fn inspect(what: &str, id: &str) -> anyhow::Result<Value> {
    let text = docker(&[what, "inspect", id]).await?;
    let mut list: Vec<Value> = serde_json::from_str(&text)?;
    list.pop().context("docker inspect gave nothing")
}

/// The processes of a container, by their numbers on this machine: PID 1 first.
///
/// # Errors
/// When it does not run.
pub async fn processes(container: &str) -> anyhow::Result<Vec<Process>> {
    let first = inspect("container", container).await?["State"]["Pid"]
        .as_i64()
        .unwrap_or(0);
    let text = docker(&["top", container, "-eo", "pid"]).await?;
    let mut pids: Vec<i32> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    pids.sort_by_key(|pid| i64::from(*pid) != first);
    Ok(pids.into_iter().filter_map(Process::of).collect())
}
