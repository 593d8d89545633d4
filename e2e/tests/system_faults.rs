//! What is killed comes back, and nothing is lost or left behind: every part, at every step.

use std::time::Duration;

use agentopia_api::environment::UsageSeries;
use agentopia_api::instance::Instance;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus as S;
use agentopia_e2e::steps::{Victim, at_every_step, converges, tool};
use agentopia_test_support::wait::{HEALED, holds_for};
use agentopia_test_support::{Cluster, Database, Runtime, docker, wait_for};
use serde_json::json;

/// How long the control plane is away: longer than every time limit of the product that could mind.
const AWAY: Duration = Duration::from_secs(125);

// Most of each is waiting, so two clusters at a time.

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_is_killed_at_every_step() -> anyhow::Result<()> {
    both(
        at_every_step(Victim::ControlPlane, Runtime::Docker, Database::Sqlite),
        at_every_step(Victim::ControlPlane, Runtime::Process, Database::Postgres),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dtma_is_killed_at_every_step() -> anyhow::Result<()> {
    both(
        at_every_step(Victim::Dtma, Runtime::Docker, Database::Postgres),
        at_every_step(Victim::Dtma, Runtime::Process, Database::Sqlite),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_is_killed_at_every_step() -> anyhow::Result<()> {
    both(
        at_every_step(Victim::Tool, Runtime::Docker, Database::Sqlite),
        at_every_step(Victim::Tool, Runtime::Process, Database::Sqlite),
    )
    .await
}

/// Runs both to their ends, so that each cleans up, and fails if one does.
async fn both(
    first: impl Future<Output = anyhow::Result<()>>,
    second: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let (first, second) = tokio::join!(first, second);
    first.and(second)
}

#[tokio::test(flavor = "multi_thread")]
async fn enabling_and_disabling_survive_kills_of_everything() -> anyhow::Result<()> {
    let mut cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    // Killed right after the wish was written, and again while the machine is made.
    cluster.admin.enable().await?;
    cluster.control_plane.kill()?;
    cluster.control_plane.start().await?;
    wait_for(HEALED, "the machine to be made", async || {
        let environment = cluster.admin.environment().await?;
        anyhow::ensure!(environment.status != EnvironmentStatus::PendingCreation);
        Ok(())
    })
    .await?;
    cluster.control_plane.kill()?;
    cluster.control_plane.start().await?;
    cluster
        .admin
        .wait_environment(EnvironmentStatus::Active, HEALED)
        .await?;
    let echo = cluster.deploy("echo").await?;
    let machine = cluster.machine().await?;

    // Killed while it is taken down: the control plane, and the DTMA too.
    cluster.admin.disable().await?;
    wait_for(HEALED, "the deletion to begin", async || {
        let status = cluster.admin.environment().await?.status;
        use EnvironmentStatus::{Deleted, Deleting};
        anyhow::ensure!(matches!(status, Deleting | Deleted), "{status:?}");
        Ok(())
    })
    .await?;
    if let Some(dtma) = machine.dtma() {
        dtma.kill();
    }
    cluster.control_plane.kill()?;
    cluster.control_plane.start().await?;
    cluster
        .admin
        .wait_environment(EnvironmentStatus::Deleted, HEALED * 2)
        .await?;
    cluster
        .admin
        .wait_status(echo.id, S::Stopped, HEALED)
        .await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_go_on_while_the_control_plane_is_away() -> anyhow::Result<()> {
    let mut cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let http = cluster.deploy("echo-http").await?;
    let echo = cluster.deploy("echo").await?;
    let machine = cluster.machine().await?;
    let container = machine.container(http.id).await?;
    let path = format!("/api/v1/environment/usage?instance_id={}", http.id);
    let before: UsageSeries = cluster.admin.get(&path).await?;

    cluster.control_plane.kill()?;
    let dtma = machine.dtma();
    holds_for(AWAY, "the tool runs without a control plane", async || {
        let seen = docker::inspect("container", &container).await?;
        anyhow::ensure!(seen["State"]["Running"] == true, "{}", seen["State"]);
        anyhow::ensure!(machine.dtma() == dtma, "the DTMA changed");
        Ok(())
    })
    .await?;
    // A tool that dies meanwhile comes back without anybody's help.
    docker::docker(&["kill", &machine.container(echo.id).await?]).await?;
    wait_for(HEALED, "the killed tool to run again", async || {
        let seen = docker::inspect("container", &machine.container(echo.id).await?).await?;
        anyhow::ensure!(seen["State"]["Running"] == true, "{}", seen["State"]);
        Ok(())
    })
    .await?;

    cluster.control_plane.start().await?;
    // What was measured meanwhile arrives, with the time at which it was measured: a sample for
    // every ten seconds without a control plane.
    wait_for(HEALED, "the buffered measurements", async || {
        let after: UsageSeries = cluster.admin.get(&path).await?;
        let fresh = after.samples.len() - before.samples.len();
        anyhow::ensure!(fresh >= 12, "{fresh} new samples: {after:?}");
        let gaps: Vec<i64> = after
            .samples
            .windows(2)
            .map(|pair| (pair[1].at - pair[0].at).num_seconds())
            .collect();
        anyhow::ensure!(
            gaps.iter().all(|gap| *gap <= 16),
            "holes between samples: {gaps:?}"
        );
        Ok(())
    })
    .await?;
    assert_eq!(
        machine.container(http.id).await?,
        container,
        "it was not started anew"
    );
    for id in [http.id, echo.id] {
        converges(&cluster, id, S::Running).await.or_else(|error| {
            // The second one crashed: the timeline may end with the crash's healing.
            if id == echo.id { Ok(()) } else { Err(error) }
        })?;
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_restarted_at_once() -> anyhow::Result<()> {
    for (runtime, database) in [
        (Runtime::Docker, Database::Sqlite),
        (Runtime::Process, Database::Postgres),
    ] {
        let mut cluster = Cluster::local()
            .runtime(runtime)
            .database(database)
            .start()
            .await?;
        let mut instances: Vec<Instance> = Vec::new();
        for slug in ["echo", "echo-http", "echo"] {
            instances.push(cluster.deploy(slug).await?);
        }
        let stopped = instances.pop().ok_or_else(|| anyhow::anyhow!("none"))?;
        cluster.admin.instance_verb(stopped.id, "stop").await?;
        cluster
            .admin
            .wait_status(stopped.id, S::Stopped, HEALED)
            .await?;
        let agent = cluster.agent_with("a", &[instances[0].id]).await?;
        let machine = cluster.machine().await?;

        // A power cut, as far as one can be had here.
        cluster.control_plane.kill()?;
        machine.kill_dtma().await?;
        if cluster.has_docker() {
            for instance in &instances {
                docker::docker(&["kill", &machine.container(instance.id).await?]).await?;
            }
        }
        cluster.control_plane.start().await?;
        for instance in &instances {
            wait_for(HEALED, "the tools to answer again", async || {
                cluster
                    .admin
                    .call(instance.id, "echo", json!({"text": "x"}))
                    .await
            })
            .await?;
            cluster.running(instance.id).await?;
        }
        assert_eq!(
            agent.call("echo", json!({"text": "again"})).await?.text(),
            "again"
        );
        let still = cluster.admin.instance(stopped.id).await?;
        assert_eq!(still.status, S::Stopped, "what was stopped stays stopped");
        assert!(tool(&cluster, stopped.id).await.is_empty());
        cluster.finish().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_loses_no_work() -> anyhow::Result<()> {
    let mut cluster = Cluster::local().start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;
    let caller = agent.clone();
    let call = tokio::spawn(async move { caller.call("sleep_ms", json!({"ms": 3000})).await });
    let machine = cluster.machine().await?;
    wait_for(
        Duration::from_secs(10),
        "the call to reach the tool",
        async || {
            anyhow::ensure!(!machine.tool_processes(echo.id)?.is_empty());
            Ok(())
        },
    )
    .await?;
    cluster.control_plane.stop().await?;
    assert_eq!(
        call.await??.text(),
        "slept 3000 ms",
        "a call under way is finished first"
    );
    cluster.control_plane.start().await?;
    assert_eq!(
        agent.call("echo", json!({"text": "after"})).await?.text(),
        "after"
    );
    cluster.finish().await
}
