//! A disk that is really full, under the control plane's database and the machine's ledger at once.

use std::time::Duration;

use agentopia_api::agent::Agent;
use agentopia_api::instance::Instance;
use agentopia_domain::instance::InstanceStatus as S;
use agentopia_test_support::api::code;
use agentopia_test_support::wait::HEALED;
use agentopia_test_support::{Api, Cluster, wait_for};
use serde_json::json;

/// Writes until there is no room for it any more.
async fn write_until_refused(admin: &Api) -> anyhow::Result<Vec<Agent>> {
    let mut written = Vec::new();
    for number in 0..2000 {
        let agent = json!({"name": format!("filler {number}"), "description": "x".repeat(1500)});
        match admin.post("/api/v1/agents", &agent).await {
            Ok(agent) => written.push(agent),
            Err(error) => {
                assert_eq!(code(&error), Some("storage_full"), "{error:#}");
                return Ok(written);
            }
        }
    }
    anyhow::bail!("the disk never got full")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_of_and_nothing_is_lost() -> anyhow::Result<()> {
    let cluster = Cluster::local().small_disk(48).start().await?;
    let admin = &cluster.admin;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[echo.id]).await?;

    let filling = cluster.fill_disk()?;
    let written = write_until_refused(admin).await?;
    let refused = admin.deploy("echo").await;
    let refused = refused.map(|it: Instance| it.id).unwrap_err();
    assert_eq!(code(&refused), Some("storage_full"), "{refused:#}");
    let refused = admin.instance_verb(echo.id, "stop").await.unwrap_err();
    assert_eq!(code(&refused), Some("storage_full"), "{refused:#}");
    // What needs no room goes on: reading, and the tools.
    assert_eq!(admin.instance(echo.id).await?.status, S::Running);
    let said = agent.call("echo", json!({"text": "still here"})).await?;
    assert_eq!(said.text(), "still here");
    // Here the control plane starts the machine's agent, and has no room to begin anything.
    let machine = cluster.machine().await?;
    let before = machine.kill_dtma().await?;

    drop(filling);
    machine.dtma_after(before).await?;
    wait_for(HEALED, "the tool to answer again", async || {
        agent.call("echo", json!({"text": "x"})).await
    })
    .await?;
    let deployed = wait_for(
        Duration::from_secs(20),
        "a deploy with room again",
        async || admin.deploy("echo").await,
    )
    .await?;
    cluster.running(deployed.id).await?;
    // What was accepted is there, what was refused is not, and work goes on where it was.
    let agents: Vec<Agent> = admin.list("/api/v1/agents").await?;
    assert_eq!(agents.len(), written.len() + 1);
    let instances: Vec<Instance> = admin.list("/api/v1/instances").await?;
    assert_eq!(instances.len(), 2, "{instances:?}");
    admin.instance_verb(echo.id, "stop").await?;
    admin.wait_status(echo.id, S::Stopped, HEALED).await?;
    cluster.finish().await
}
