//! Updates of single resources: `resources/subscribe` of a session, or the URIs of a modern
//! `subscriptions/listen`, to servers of either era.

use std::sync::Arc;

use agentopia_mcp::{Envelope, Era, Field, ObjectWriter, RpcError, Splice, method};
use bytes::Bytes;

use crate::aggregate::resolve::{self, Hop};
use crate::clients::Client;
use crate::core::Core;
use crate::routes::AgentRoute;
use crate::upstream::call::ask;

/// `resources/subscribe` and `resources/unsubscribe`.
pub(super) async fn session(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: Option<&Arc<AgentRoute>>,
    message: &Envelope,
) -> Result<(), RpcError> {
    let uri = message
        .text(Field::ParamsUri)
        .ok_or_else(|| RpcError::invalid_params("params.uri is missing or no text"))?;
    let way = match agent {
        Some(agent) => resolve::resolve(core, client, agent, message).await?,
        None => super::session::own_hop(core, client).into_iter().collect(),
    };
    let on = message.method() == method::RESOURCES_SUBSCRIBE;
    let mut outcome = Err(RpcError::resource_not_found(&uri, Era::Session));
    for hop in &way {
        outcome = change(core, client, hop, &uri, on, Some(message)).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Resources that one listener can follow.
const MOST_URIS: usize = 1_000;

/// The URIs of a modern listener; those that nobody has are left out. Gives back what was taken.
pub(super) async fn listener(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: Option<&Arc<AgentRoute>>,
    uris: &std::collections::BTreeSet<String>,
) -> std::collections::BTreeSet<String> {
    let deadline = tokio::time::Instant::now() + core.config.fan_out_deadline;
    let mut taken = std::collections::BTreeSet::new();
    for uri in uris.iter().take(MOST_URIS) {
        let mut params = ObjectWriter::new();
        params.text("uri", uri);
        let id = agentopia_mcp::Id::from(0);
        let request = agentopia_mcp::jsonrpc::request(
            &id,
            method::RESOURCES_SUBSCRIBE,
            Some(&params.finish()),
        );
        let Ok(request) = Envelope::scan(Bytes::from(request), &Default::default()) else {
            continue;
        };
        let subscribing = session(core, client, agent, &request);
        match tokio::time::timeout_at(deadline, subscribing).await {
            Ok(Ok(())) => drop(taken.insert(uri.clone())),
            Ok(Err(_)) => {}
            // The acknowledgement has to come some time; it says what was left out.
            Err(_) => break,
        }
    }
    taken
}

async fn change(
    core: &Arc<Core>,
    client: &Arc<Client>,
    hop: &Hop,
    uri: &str,
    on: bool,
    message: Option<&Envelope>,
) -> Result<(), RpcError> {
    let told = |error: crate::upstream::UpstreamError| error.to_rpc(&hop.route.name);
    let live = hop
        .upstream
        .live(core, client, &hop.route)
        .await
        .map_err(told)?;
    if live.era == Era::Modern {
        if !live.greeting.capabilities.has(&["resources", "subscribe"]) {
            return Err(RpcError::invalid_params(
                "the server has no updates of resources",
            ));
        }
        let changed = {
            let mut subscriptions = hop.upstream.subscriptions.lock();
            if on {
                subscriptions.insert(uri.to_owned())
            } else {
                subscriptions.remove(uri)
            }
        };
        if changed && client.is_attached() {
            hop.upstream.listen(core, client);
        }
        return Ok(());
    }
    let params = message.and_then(|m| {
        let own = Splice::new(m).remove(Field::MetaProgressToken).finish();
        let own = Envelope::scan(own, &Default::default()).ok()?;
        own.raw(Field::Params).map(agentopia_mcp::Json::into_owned)
    });
    let name = if on {
        method::RESOURCES_SUBSCRIBE
    } else {
        method::RESOURCES_UNSUBSCRIBE
    };
    let asked = ask(
        core,
        client,
        &hop.upstream,
        &hop.route,
        name,
        params.as_ref(),
    )
    .await;
    asked.map(drop).map_err(told)?;
    let mut subscriptions = hop.upstream.subscriptions.lock();
    if on {
        subscriptions.insert(uri.to_owned());
    } else {
        subscriptions.remove(uri);
    }
    Ok(())
}
