//! Starts instances that are asleep for a call, and writes down which are used (TOOL-9). What is
//! written goes by compare-and-set in the store, so that any replica may do it at any time.

use agentopia_domain::InstanceId;
use agentopia_domain::instance::InstanceStatus;
use agentopia_gateway::Waker;
use agentopia_store::{Store, StoreError};
use async_trait::async_trait;
use serde_json::Value;

use super::definitions;
use crate::reconcilers::Bells;
use crate::reconcilers::instance::sleep;
use crate::reconcilers::routes::RoutesBell;

/// See the module's header.
#[derive(Debug)]
pub struct Sleepers {
    /// Where it stands who sleeps.
    pub store: Store,
    /// The reconciler starts what is woken.
    pub bells: Bells,
    /// The gateway's table says who sleeps.
    pub routes: RoutesBell,
}

#[async_trait]
impl Waker for Sleepers {
    async fn used(&self, instances: &[InstanceId]) -> Result<(), String> {
        let noted = self.store.instances().note_used_unscoped(instances).await;
        for asleep in noted.map_err(|error| error.to_string())? {
            // It was used at the moment at which it fell asleep.
            self.wake(asleep).await?;
        }
        Ok(())
    }

    async fn listed(&self, instance: InstanceId, tools: Vec<Value>) -> Result<(), String> {
        let report = self.store.instances().get_unscoped(instance).await;
        let instance = report.map_err(|error| error.to_string())?.instance;
        definitions::record(&self.store, &instance, &tools)
            .await
            .map_err(|error| error.to_string())?;
        self.routes.ring();
        Ok(())
    }

    async fn wake(&self, instance: InstanceId) -> Result<(), String> {
        self.start(instance).await.map_err(|error| {
            tracing::warn!(%instance, %error, "an instance that is asleep could not be woken");
            "it is asleep and could not be woken; try again in a moment".to_owned()
        })
    }
}

impl Sleepers {
    async fn start(&self, id: InstanceId) -> Result<(), StoreError> {
        let instance = self.store.instances().get_unscoped(id).await?.instance;
        if instance.status == InstanceStatus::Asleep
            && sleep::wake(&self.store, &instance, "it was woken by a call").await?
        {
            self.bells.instances.ring(id.as_uuid());
        }
        self.routes.ring();
        Ok(())
    }
}
