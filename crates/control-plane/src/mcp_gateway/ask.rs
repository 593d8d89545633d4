//! Asks servers on machines what they offer, for the reconciler of their instances.

use agentopia_domain::{EnvironmentId, InstanceId};
use async_trait::async_trait;
use serde_json::Value;

use super::typed::tools_at;
use crate::machines::Connections;
use crate::reconcilers::instance::upgrade::AskTools;

#[async_trait]
impl AskTools for Connections {
    async fn tools(
        &self,
        environment: EnvironmentId,
        on_machine: InstanceId,
    ) -> Result<Vec<Value>, String> {
        let client = self.by_id(environment).await;
        let client = client.map_err(|error| error.to_string())?;
        tools_at(&client, on_machine).await
    }
}
