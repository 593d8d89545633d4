//! What the timeline says of a link.

use agentopia_domain::{AgentId, InstanceId};
use agentopia_store::StoreError;

use crate::http::extract::Call;

/// "the agent X may use the tool Y", with any other verb.
pub(super) async fn words(
    call: &Call,
    verb: &str,
    agent: AgentId,
    instance: InstanceId,
) -> Result<String, StoreError> {
    let account = call.account();
    let agent = call.store().agents().get(account, agent).await?;
    let instance = call.store().instances().get(account, instance).await?;
    let (agent, tool) = (agent.name, instance.name);
    Ok(format!("the agent {agent} {verb} the tool {tool}"))
}
