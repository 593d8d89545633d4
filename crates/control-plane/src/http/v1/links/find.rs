//! Finds a link by the two things it joins.

use agentopia_domain::link::Link;
use agentopia_domain::page::PageRequest;
use agentopia_domain::{AgentId, InstanceId};
use agentopia_store::LinkFilter;

use crate::http::extract::Call;
use crate::problem::Answer;

pub(super) async fn find(
    call: &Call,
    agent: AgentId,
    instance: InstanceId,
) -> Answer<Option<Link>> {
    let filter = LinkFilter {
        agent_id: Some(agent),
        instance_id: Some(instance),
    };
    let page = PageRequest {
        after: None,
        limit: 1,
    };
    let found = call
        .store()
        .links()
        .list(call.account(), filter, page)
        .await?;
    Ok(found.items.into_iter().next())
}
