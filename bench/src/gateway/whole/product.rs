//! The product, with one server and one agent that is linked to it. Limits on calls are off; all else is as
//! it ships: tokens, routing by names, counting, audit into the database.

use std::time::Duration;

use agentopia_api::agent::mcp_url;
use agentopia_api::instance::Instance;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::process::Process;
use agentopia_test_support::{Cluster, Runtime};
use anyhow::Context as _;
use serde_json::Value;

use super::super::role::{Place, cpu};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) cluster: Cluster,
    pub(super) instance: Instance,
    /// The agent's endpoint.
    pub(super) place: Place,
    control_plane: Process,
    dtma: Process,
}

/// Processor time that was used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) control_plane: Duration,
    pub(super) dtma: Duration,
}

impl Product {
    /// Starts it with a server of the catalog, or of an entry that is added to the catalog before.
    pub(super) async fn start(
        runtime: Runtime,
        slug: &str,
        definition: Option<Value>,
    ) -> anyhow::Result<Self> {
        let cluster = Cluster::local()
            .runtime(runtime)
            .set("AGENTOPIA_AGENT_CALLS_PER_MINUTE", "0")
            .set("AGENTOPIA_ACCOUNT_CALLS_PER_MINUTE", "0")
            .set("AGENTOPIA_TOOL_CALLS_PER_MINUTE", "0")
            .start()
            .await?;
        if let Some(definition) = definition {
            let admin = &cluster.admin;
            admin.post::<Value>("/api/v1/catalog", &definition).await?;
        }
        let instance = cluster.deploy_with(deployment(slug)).await?;
        let agent = cluster.agent_with("bench", &[instance.id]).await?;
        let place = Place {
            url: mcp_url(cluster.control_plane.base_url(), agent.id()),
            token: Some(agent.token.clone()),
        };
        let dtma = cluster.machine().await?.dtma();
        let control_plane = cluster.control_plane.process();
        Ok(Self {
            instance,
            place,
            control_plane: control_plane.context("the control plane does not run")?,
            dtma: dtma.context("the DTMA does not run")?,
            cluster,
        })
    }

    pub(super) fn used(&self) -> anyhow::Result<Used> {
        let of = |process: Process| cpu(u32::try_from(process.pid)?);
        Ok(Used {
            control_plane: of(self.control_plane)?,
            dtma: of(self.dtma)?,
        })
    }

    /// Takes it away, and fails if anything is left.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.cluster.finish().await
    }
}
