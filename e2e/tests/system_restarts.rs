//! What is being restarted is waited for: agents, and people who call a tool by hand, don't notice
//! that a management agent or a tool was killed just before they called (AGT-5).

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::mcp::{ModernClient, SessionClient};
use agentopia_test_support::{Cluster, Runtime, docker, wait_for};
use serde_json::json;

/// So often each is killed: once could be luck.
const KILLS: usize = 3;
/// How soon the end of a tool is known at the latest.
const NOTICED: Duration = Duration::from_secs(5);

/// A tool with everybody who calls it.
struct Called {
    instance: InstanceId,
    modern: ModernClient,
    /// Opened before anything was killed.
    session: SessionClient,
}

impl Called {
    async fn deploy(cluster: &Cluster, catalog: &str) -> anyhow::Result<Self> {
        let instance = cluster.deploy(catalog).await?.id;
        // An agent of its own each: both servers name their tool alike.
        let agent = cluster.agent_with(catalog, &[instance]).await?;
        let session = agent.session().await?;
        session.call("echo", json!({"text": "before"})).await?;
        Ok(Self {
            instance,
            modern: agent.modern()?,
            session,
        })
    }

    /// Waits until the machine has noticed that the tool is gone. What is written to an open session
    /// before that may have reached the tool: it is answered with an error and not tried again.
    async fn is_missed(&self, cluster: &Cluster) -> anyhow::Result<()> {
        wait_for(NOTICED, "the tool to be missed", async || {
            let status = cluster.admin.instance(self.instance).await?.status;
            anyhow::ensure!(status != InstanceStatus::Running, "it is {status:?}");
            Ok(())
        })
        .await
    }

    /// Everybody calls at once, and everybody is answered: nobody tries twice.
    async fn answers_everybody(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let echo = || json!({"text": "after"});
        let (modern, session, by_hand) = tokio::try_join!(
            self.modern.call("echo", echo()),
            self.session.call("echo", echo()),
            cluster.admin.call(self.instance, "echo", echo()),
        )?;
        assert_eq!(modern.text(), "after");
        assert_eq!(session.text(), "after");
        assert_eq!(by_hand.result["content"][0]["text"], "after");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_dtma_that_is_being_restarted() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let stdio = Called::deploy(&cluster, "echo").await?;
    let http = Called::deploy(&cluster, "echo-http").await?;
    let machine = cluster.machine().await?;
    for _ in 0..KILLS {
        let killed = machine.kill_dtma().await?;
        tokio::try_join!(
            stdio.answers_everybody(&cluster),
            http.answers_everybody(&cluster)
        )?;
        assert_ne!(machine.dtma(), Some(killed));
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_tool_that_is_being_restarted() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    for catalog in ["echo", "echo-http"] {
        let called = Called::deploy(&cluster, catalog).await?;
        for _ in 0..KILLS {
            let machine = cluster.machine().await?;
            let container = machine.container(called.instance).await?;
            docker::docker(&["kill", &container]).await?;
            called.is_missed(&cluster).await?;
            called.answers_everybody(&cluster).await?;
        }
    }
    cluster.finish().await
}
