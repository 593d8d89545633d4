//! `kill -9` of the Docker Engine itself. Named so that it runs last: everybody uses that engine.
//! Only an engine that `script/services` started is killed, and that script starts it again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_test_support::process::{self, Process};
use agentopia_test_support::wait::HEALED;
use agentopia_test_support::{Cluster, Runtime, binaries, docker, wait_for};
use anyhow::Context as _;
use serde_json::json;
use tokio::process::Command;

fn script() -> PathBuf {
    let root = std::env::var_os("AGENTOPIA_ROOT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
        PathBuf::from,
    );
    root.join("script/services")
}

/// The engine that `script/services` started, if it did.
fn engine() -> anyhow::Result<Option<Process>> {
    let pid_file = binaries::cache()?.join("services/dockerd.pid");
    let Ok(text) = std::fs::read_to_string(pid_file) else {
        return Ok(None);
    };
    let process = text.trim().parse().ok().and_then(Process::of);
    Ok(process.filter(|process| process.command_line().contains("dockerd")))
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_come_back_after_the_engine_was_killed() -> anyhow::Result<()> {
    docker::need_engine().await?;
    let engine = engine()?.context(
        "the Docker Engine of this machine was not started by script/services, so this test must \
         not kill it: stop it and run `script/test system`, which starts one",
    )?;
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let http = cluster.deploy("echo-http").await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[http.id, echo.id]).await?;
    assert_eq!(agent.tools().await?.len(), 8);

    // Its containerd ends with it, a moment later. An engine that is started while that is dying, or
    // dead and not yet reaped, counts on it and gives up: wait until neither has a number any more.
    let mut gone = process::descendants(engine);
    gone.retain(|child| {
        let line = child.command_line();
        line.contains("containerd") && !line.contains("shim")
    });
    gone.push(engine);
    engine.kill();
    wait_for(
        Duration::from_secs(20),
        "the engine to be gone",
        async || {
            let known = |process: &Process| Path::new(&format!("/proc/{}", process.pid)).exists();
            anyhow::ensure!(!gone.iter().any(known), "{gone:?}");
            Ok(())
        },
    )
    .await?;
    let up = Command::new(script())
        .args(["up", "docker"])
        .output()
        .await?;
    anyhow::ensure!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );

    for id in [http.id, echo.id] {
        wait_for(
            HEALED * 2,
            "the tool to answer after the engine came back",
            async || {
                let said = cluster
                    .admin
                    .call(id, "echo", json!({"text": "back"}))
                    .await?;
                anyhow::ensure!(said.result["content"][0]["text"] == "back", "{said:?}");
                Ok(())
            },
        )
        .await?;
        cluster.running(id).await?;
        cluster.machine().await?.container(id).await?;
    }
    wait_for(HEALED, "both to show at the agent's endpoint", async || {
        let tools = agent.tools().await?;
        anyhow::ensure!(tools.len() == 8, "{tools:?}");
        Ok(())
    })
    .await?;
    // A deploy is as good as before.
    cluster.deploy("echo").await?;
    cluster.finish().await
}
