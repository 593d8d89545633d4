//! What is being restarted is waited for: agents, and people who call a tool by hand, don't notice
//! that a management agent or a tool was killed just before they called (AGT-5).

use agentopia_domain::InstanceId;
use agentopia_test_support::mcp::{ModernClient, SessionClient};
use agentopia_test_support::{Cluster, Runtime, docker, mcp};
use serde_json::json;

/// So often each is killed: once could be luck.
const KILLS: usize = 3;
/// The code of the error of a call whose process ended while it was in flight.
const GONE: &str = "-32000";

fn echo() -> serde_json::Value {
    json!({"text": "after"})
}

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

    /// Everybody calls at once, and everybody is answered: nobody tries twice.
    async fn answers_everybody(&self, cluster: &Cluster) -> anyhow::Result<()> {
        self.answers(cluster, self.session.call("echo", echo()))
            .await
    }

    /// The same right after the tool was killed. What is written to an open session in the
    /// milliseconds before its machine notices may have reached the tool: that is answered with an
    /// error instead of being tried again, and the next call is served.
    async fn answers_everybody_after_a_kill(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let in_session = async {
            match self.session.call("echo", echo()).await {
                Err(error) if error.to_string().contains(GONE) => {
                    self.session.call("echo", echo()).await
                }
                answered => answered,
            }
        };
        self.answers(cluster, in_session).await
    }

    async fn answers(
        &self,
        cluster: &Cluster,
        in_session: impl Future<Output = anyhow::Result<mcp::Called>>,
    ) -> anyhow::Result<()> {
        let (modern, session, by_hand) = tokio::try_join!(
            self.modern.call("echo", echo()),
            in_session,
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
            called.answers_everybody_after_a_kill(&cluster).await?;
        }
    }
    cluster.finish().await
}
