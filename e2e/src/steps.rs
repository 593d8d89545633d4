//! Kills one part at every step of what can be done with a tool, and sees that it converges.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::instance::InstanceStatus as S;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::process::Process;
use agentopia_test_support::wait::HEALED;
use agentopia_test_support::{Cluster, Database, Runtime, docker, wait_for};
use serde_json::json;

use crate::engine;

/// Whom to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The control plane; it is started again at once.
    ControlPlane,
    /// The management agent; the control plane starts it again.
    Dtma,
    /// The tool's own process, not tool-init.
    Tool,
    /// The Docker Engine, with all containers; `script/services` starts it again.
    Engine,
}

/// What is being done when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Deploy,
    Stop,
    Start,
    Restart,
    Remove,
}

/// A verb, the statuses in which its work is under way, and how it has to end.
type Step = (Verb, &'static [S], S);

const STEPS: [Step; 7] = [
    (
        Verb::Deploy,
        &[S::PendingStart, S::Starting, S::Running],
        S::Running,
    ),
    (Verb::Deploy, &[S::Starting, S::Running], S::Running),
    (Verb::Stop, &[S::Stopping], S::Stopped),
    (
        Verb::Start,
        &[S::PendingStart, S::Starting, S::Running],
        S::Running,
    ),
    (Verb::Start, &[S::Starting, S::Running], S::Running),
    (
        Verb::Restart,
        &[S::PendingStart, S::Starting, S::Running],
        S::Running,
    ),
    (Verb::Remove, &[S::PendingRemoval], S::Removed),
];

/// An HTTP server that takes ten seconds to be stopped, so that a kill falls into the middle.
fn stubborn() -> EchoEntry {
    let process = json!([
        "agentopia-echo",
        "--http",
        "127.0.0.1:{port}",
        "--fault",
        "ignore-sigterm"
    ]);
    EchoEntry::new("stubborn", &[])
        .with(
            "/transport",
            json!({"type": "streamable_http", "port": 8000, "path": "/mcp"}),
        )
        .with("/versions/0/process", process)
}

fn stubborn_in_docker() -> EchoEntry {
    stubborn()
        .with(
            "/versions/0/args",
            json!(["--http", "0.0.0.0:8000", "--fault", "ignore-sigterm"]),
        )
        .with("/versions/0/process", json!([]))
}

/// Does everything that can be done with a tool, once for each moment at which `victim` is killed.
/// After each kill the tool must reach what was asked for, and one that nobody touched must be left
/// alone.
///
/// # Errors
/// What did not converge, with the step.
pub async fn at_every_step(
    victim: Victim,
    runtime: Runtime,
    database: Database,
) -> anyhow::Result<()> {
    let mut cluster = Cluster::local()
        .runtime(runtime)
        .database(database)
        .start()
        .await?;
    let entry = if runtime == Runtime::Docker {
        stubborn_in_docker()
    } else {
        stubborn()
    };
    entry.add(&cluster.admin).await?;
    // One that nobody touches, to see that it is left alone.
    let bystander = cluster.deploy("echo").await?;
    let mut instances = Vec::new();
    for (number, (verb, under_way, goal)) in STEPS.into_iter().enumerate() {
        let step = format!(
            "step {number}: {victim:?} killed during {verb:?} at {:?}",
            under_way[0]
        );
        let id = begin(&cluster, verb, &mut instances)
            .await
            .map_err(|e| e.context(step.clone()))?;
        let at = wait_for(Duration::from_secs(20), &step, async || {
            let now = cluster.admin.instance(id).await?.status;
            anyhow::ensure!(under_way.contains(&now) || now == goal, "it is {now:?}");
            Ok(now)
        })
        .await?;
        kill(&mut cluster, victim, id)
            .await
            .map_err(|e| e.context(step.clone()))?;
        let step = format!("{step} (killed at {at:?})");
        converges(&cluster, id, goal)
            .await
            .map_err(|e| e.context(step))?;
    }
    // Nothing was lost.
    let left = cluster.admin.instance(bystander.id).await?;
    assert_eq!(left.generation, bystander.generation);
    wait_for(HEALED, "the bystander to answer", async || {
        cluster
            .admin
            .call(bystander.id, "echo", json!({"text": "x"}))
            .await
    })
    .await?;
    cluster.finish().await
}

/// Begins what is to be interrupted, on an instance that is in the right state for it.
async fn begin(
    cluster: &Cluster,
    verb: Verb,
    instances: &mut Vec<InstanceId>,
) -> anyhow::Result<InstanceId> {
    let admin = &cluster.admin;
    if verb == Verb::Deploy {
        let id = admin.deploy("stubborn").await?.id;
        instances.push(id);
        return Ok(id);
    }
    // The newest is used for everything; `remove` is last.
    let id = instances
        .last()
        .copied()
        .ok_or_else(|| anyhow::anyhow!("nothing was deployed"))?;
    match verb {
        Verb::Start => {
            if admin.instance(id).await?.status != S::Stopped {
                admin.instance_verb(id, "stop").await?;
                admin.wait_status(id, S::Stopped, HEALED).await?;
            }
            admin.instance_verb(id, "start").await?;
        }
        Verb::Stop => drop(admin.instance_verb(id, "stop").await?),
        Verb::Restart => drop(admin.instance_verb(id, "restart").await?),
        Verb::Remove | Verb::Deploy => admin.remove(id, true).await?,
    }
    Ok(id)
}

async fn kill(cluster: &mut Cluster, victim: Victim, id: InstanceId) -> anyhow::Result<()> {
    match victim {
        Victim::ControlPlane => {
            cluster.control_plane.kill()?;
            cluster.control_plane.start().await
        }
        Victim::Dtma => {
            let machine = cluster.machine().await?;
            let before = machine.kill_dtma().await?;
            machine.dtma_after(before).await.map(drop)
        }
        Victim::Tool => {
            // It may not be there yet, or no more: then there is nothing to kill at this step.
            for process in tool(cluster, id).await {
                process.kill();
            }
            Ok(())
        }
        Victim::Engine => engine::kill_and_start().await,
    }
}

/// The processes of a tool, without tool-init.
pub async fn tool(cluster: &Cluster, id: InstanceId) -> Vec<Process> {
    let Ok(machine) = cluster.machine().await else {
        return Vec::new();
    };
    if !cluster.has_docker() {
        return machine.tool_processes(id).unwrap_or_default();
    }
    let Ok(container) = machine.container(id).await else {
        return Vec::new();
    };
    // Not PID 1, which is tool-init: what it started.
    docker::processes(&container)
        .await
        .unwrap_or_default()
        .into_iter()
        .skip(1)
        .collect()
}

/// Waits for a status, and sees that the world agrees with it: what should run answers, once; of
/// what should not run nothing is left; the timeline says so.
///
/// # Errors
/// What is otherwise.
pub async fn converges(cluster: &Cluster, id: InstanceId, goal: S) -> anyhow::Result<()> {
    let admin = &cluster.admin;
    let instance = admin.wait_status(id, goal, HEALED).await?;
    match goal {
        S::Removed => cluster.removed(id, false).await?,
        S::Running => {
            wait_for(HEALED, "the tool to answer", async || {
                let said = admin.call(id, "echo", json!({"text": "alive"})).await?;
                anyhow::ensure!(said.result["content"][0]["text"] == "alive", "{said:?}");
                Ok(())
            })
            .await?;
            if cluster.has_docker() {
                // Exactly one container of it, whatever was begun twice.
                cluster.machine().await?.container(id).await?;
            }
        }
        _ => {
            anyhow::ensure!(
                tool(cluster, id).await.is_empty(),
                "a stopped tool runs: {instance:?}"
            );
        }
    }
    // Waited for, since the status that was seen above may be older than the kill: a management
    // agent that was killed right after it said `running` says `starting` once more.
    let goal = serde_json::to_value(goal)?;
    wait_for(HEALED, "the timeline to end with the goal", async || {
        let statuses = admin.statuses(id.as_uuid()).await?;
        anyhow::ensure!(
            statuses.last().map(String::as_str) == goal.as_str(),
            "the timeline ends otherwise: {statuses:?}"
        );
        Ok(())
    })
    .await
}
