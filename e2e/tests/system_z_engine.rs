//! `kill -9` of the Docker Engine itself. Named so that it runs last: everybody uses that engine.
//! Only an engine that `script/services` started is killed, and that script starts it again.

use agentopia_e2e::engine;
use agentopia_e2e::steps::{Victim, at_every_step};
use agentopia_test_support::wait::HEALED;
use agentopia_test_support::{Cluster, Database, Runtime, docker, wait_for};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn tools_come_back_after_the_engine_was_killed() -> anyhow::Result<()> {
    docker::need_engine().await?;
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let http = cluster.deploy("echo-http").await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("a", &[http.id, echo.id]).await?;
    assert_eq!(agent.tools().await?.len(), 10);

    engine::kill_and_start().await?;

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
        anyhow::ensure!(tools.len() == 10, "{tools:?}");
        Ok(())
    })
    .await?;
    // A deploy is as good as before.
    cluster.deploy("echo").await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_killed_at_every_step() -> anyhow::Result<()> {
    docker::need_engine().await?;
    at_every_step(Victim::Engine, Runtime::Docker, Database::Sqlite).await
}
