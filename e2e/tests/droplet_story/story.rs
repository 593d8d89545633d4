//! What goes from step to step: the installation, and what serves on it.

use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::{DropletCluster, TestAgent, wait_for};
use serde_json::json;

/// From a droplet's creation until its agent is heard, on a busy machine.
pub(crate) const BOOT: Duration = Duration::from_secs(120);
/// From wanted to running: images are pulled over the network of the droplets.
pub(crate) const DEPLOY: Duration = Duration::from_secs(90);
/// What a fault may take to be noticed (30 s without a heartbeat) and healed.
pub(crate) const HEALED: Duration = Duration::from_secs(150);

/// An installation without an environment yet.
pub(crate) struct Beginning {
    pub(crate) cluster: DropletCluster,
}

/// An installation whose environment serves two tools to an agent.
pub(crate) struct Story {
    pub(crate) cluster: DropletCluster,
    pub(crate) echo: Instance,
    pub(crate) everything: Instance,
    pub(crate) agent: TestAgent,
}

impl Story {
    pub(crate) async fn begin() -> anyhow::Result<Beginning> {
        let cluster = DropletCluster::start().await?;
        Ok(Beginning { cluster })
    }

    /// How many requests for a droplet there were for the environment, ever.
    pub(crate) async fn was_created(&self, times: u64) -> anyhow::Result<()> {
        let environment = self.cluster.admin.environment().await?;
        let creations = self.cluster.simulator.creations().await?;
        let requests = &creations[format!("env:{}", environment.id)]["requests"];
        anyhow::ensure!(*requests == times, "not {times}: {creations}");
        Ok(())
    }

    /// Both tools run and answer, through the agent's endpoint.
    pub(crate) async fn serves(&self, limit: Duration) -> anyhow::Result<()> {
        for instance in [&self.echo, &self.everything] {
            let status = InstanceStatus::Running;
            self.cluster
                .admin
                .wait_status(instance.id, status, limit)
                .await?;
        }
        wait_for(limit, "both tools to answer", async || {
            for text in ["one", "two"] {
                answers(&self.agent, text).await?;
            }
            Ok(())
        })
        .await
    }
}

/// Has both tools say something. They are told apart by their instance's name, as both have a tool `echo`.
pub(crate) async fn answers(agent: &TestAgent, text: &str) -> anyhow::Result<()> {
    let tools = agent.tools().await?;
    let echoes: Vec<_> = tools.iter().filter(|name| name.contains("echo")).collect();
    anyhow::ensure!(echoes.len() == 2, "not two echoes: {tools:?}");
    for echo in echoes {
        let arguments = json!({"text": text, "message": text});
        let said = agent.call(echo, arguments).await?;
        anyhow::ensure!(said.text().contains(text), "{echo} said {said:?}");
    }
    Ok(())
}
