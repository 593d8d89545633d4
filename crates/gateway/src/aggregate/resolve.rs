//! Which server a call is for, and what it calls the thing.

use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, Field, ListKind, RpcError, method};
use tokio::time::Instant;

use super::{list, missing, uris};
use crate::clients::Client;
use crate::core::Core;
use crate::names::NameKind;
use crate::pins;
use crate::routes::{AgentRoute, InstanceRoute};
use crate::upstream::Upstream;

/// One server, and the name to put in place of the exposed one.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) route: Arc<InstanceRoute>,
    pub(crate) rename: Option<(Field, Arc<str>)>,
}

/// The servers to try, in order; more than one only for a resource that nobody listed.
pub(crate) type Way = Vec<Hop>;

/// Finds the way of a call.
pub(crate) async fn resolve(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    call: &Envelope,
) -> Result<Way, RpcError> {
    match &*call.method() {
        method::TOOLS_CALL => {
            by_name(core, client, agent, call, NameKind::Tool, Field::ParamsName).await
        }
        method::PROMPTS_GET => {
            by_name(
                core,
                client,
                agent,
                call,
                NameKind::Prompt,
                Field::ParamsName,
            )
            .await
        }
        method::RESOURCES_READ | method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
            let uri = text(call, Field::ParamsUri, "params.uri")?;
            Ok(Box::pin(by_uri(core, client, agent, &uri)).await)
        }
        method::COMPLETE => match text(call, Field::RefType, "params.ref.type")?.as_str() {
            "ref/prompt" => {
                by_name(core, client, agent, call, NameKind::Prompt, Field::RefName).await
            }
            "ref/resource" => {
                let uri = text(call, Field::RefUri, "params.ref.uri")?;
                Ok(Box::pin(by_uri(core, client, agent, &uri)).await)
            }
            _ => Err(RpcError::invalid_params("params.ref.type is not known")),
        },
        other => Err(RpcError::method_not_found(other)),
    }
}

fn text(call: &Envelope, field: Field, what: &str) -> Result<String, RpcError> {
    call.text(field)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| RpcError::invalid_params(format!("{what} is missing or no text")))
}

async fn by_name(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    call: &Envelope,
    kind: NameKind,
    field: Field,
) -> Result<Way, RpcError> {
    let exposed = call
        .text(field)
        .ok_or_else(|| RpcError::invalid_params("the name is missing or no text"))?;
    if let Some(hop) = lookup(core, client, agent, kind, field, &exposed) {
        return Ok(vec![hop]);
    }
    // Perhaps it was never listed here: list once, which assigns names.
    let parts = Box::pin(list::named(core, client, agent, kind)).await;
    lookup(core, client, agent, kind, field, &exposed)
        .map(|hop| vec![hop])
        .ok_or_else(|| missing::unknown(agent, kind, &exposed, &parts))
}

fn lookup(
    core: &Core,
    client: &Client,
    agent: &Arc<AgentRoute>,
    kind: NameKind,
    field: Field,
    exposed: &str,
) -> Option<Hop> {
    let (link, own) = core.names.current(agent).find(kind, exposed)?;
    let link = agent.links.get(link)?;
    if kind == NameKind::Tool
        && (!list::allows(&link.policy, &own) || pins::is_held(core, link.instance_id, &own))
    {
        return None;
    }
    let mut hop = hop(core, client, link.instance_id)?;
    if *own != *exposed {
        hop.rename = Some((field, own));
    }
    Some(hop)
}

/// The way to an instance without renaming.
pub(crate) fn hop(core: &Core, client: &Client, instance: InstanceId) -> Option<Hop> {
    let route = core.routes.load().instances.get(&instance)?.clone();
    Some(Hop {
        upstream: client.upstream(instance),
        route,
        rename: None,
    })
}

async fn by_uri(core: &Arc<Core>, client: &Arc<Client>, agent: &Arc<AgentRoute>, uri: &str) -> Way {
    if let Some(hop) = known_uri(core, client, agent, uri) {
        return vec![hop];
    }
    list::gather(core, client, agent, ListKind::Resources).await;
    if let Some(hop) = known_uri(core, client, agent, uri) {
        return vec![hop];
    }
    let templates = list::gather(core, client, agent, ListKind::ResourceTemplates).await;
    let offers = |part: &list::Part| {
        let items = part.outcome.iter().flat_map(|listed| listed.items());
        items
            .into_iter()
            .any(|item| item.key() == uri || uris::matches(item.key(), uri))
    };
    if let Some(part) = templates.iter().find(|part| offers(part)) {
        return hop(core, client, agent.links[part.link].instance_id)
            .into_iter()
            .collect();
    }
    // Named nowhere: a tool's result can carry links to resources that are in no list. Whoever has
    // resources at all is asked, in order.
    let has_resources = |hop: &Hop| {
        hop.upstream
            .current()
            .is_none_or(|live| live.offers(ListKind::Resources))
            && hop.route.available.is_ok()
    };
    let all = agent
        .links
        .iter()
        .filter_map(|link| hop(core, client, link.instance_id));
    all.filter(has_resources).collect()
}

fn known_uri(core: &Core, client: &Client, agent: &AgentRoute, uri: &str) -> Option<Hop> {
    let instance = client.origins.lock().of(uri, Instant::now())?;
    // The link may have gone since.
    agent
        .links
        .iter()
        .find(|link| link.instance_id == instance)?;
    hop(core, client, instance)
}
