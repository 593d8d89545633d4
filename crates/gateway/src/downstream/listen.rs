//! `subscriptions/listen`: a modern client's standing stream, acknowledged first, fed from servers
//! of either era (rule 18).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use agentopia_mcp::{Era, Field, Id, Json, ObjectWriter, RpcError, jsonrpc, meta_key, method, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use tokio::sync::mpsc;

use super::subscribe;
use crate::aggregate::about;
use crate::clients::Client;
use crate::clients::listeners::Filter;
use crate::core::Core;
use crate::edge::answer;
use crate::relay::Asking;
use crate::routes::AgentRoute;
use crate::sleepers::wakes;

/// Opens the stream.
pub(super) async fn open(asking: &Asking<'_>, agent: Option<&Arc<AgentRoute>>) -> Response {
    let (core, client) = (asking.core, asking.client);
    let Some(wanted) = asking
        .message
        .raw(Field::ParamsNotifications)
        .filter(Json::is_object)
    else {
        let error = RpcError::invalid_params("params.notifications is missing or no object");
        return answer::error(Era::Modern, &error, Some(asking.id));
    };
    let mut filter = Filter::read(&wanted);
    filter.uris = subscribe::listener(core, client, agent, &filter.uris).await;
    let acknowledged = acknowledgement(asking.id, &filter);
    let most = core.config.max_listeners_per_principal;
    let Some((number, messages)) = client.listeners.add(asking.id.clone(), filter, most) else {
        let sentence = "too many streams are open; close one";
        return answer::refused(StatusCode::SERVICE_UNAVAILABLE, sentence);
    };
    // Servers have to be connected to be heard.
    connect_all(core, client, agent);
    client.listen_upstream(core);
    let standing = Standing {
        core: core.clone(),
        client: client.clone(),
        number,
        messages,
        ready: VecDeque::from([acknowledged]),
        id: asking.id.clone(),
        over: false,
    };
    let chunks = futures::stream::unfold(standing, |mut standing| async move {
        let chunk = standing.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), standing))
    });
    answer::events(Body::from_stream(chunks))
}

/// Opens connections with an agent's servers in the background; each is listened to once it is up.
fn connect_all(core: &Arc<Core>, client: &Arc<Client>, agent: Option<&Arc<AgentRoute>>) {
    let routes = core.routes.load_full();
    for link in agent.iter().flat_map(|agent| &agent.links) {
        // One that sleeps has nothing to say; it is listened to when a call has woken it.
        let route = routes.instances.get(&link.instance_id);
        if let Some(route) = route.filter(|route| wakes::is_up(core, route)).cloned() {
            let (core, client) = (core.clone(), client.clone());
            tokio::spawn(async move {
                // A server that does not come up has nothing to say.
                let _failed = client.upstream(route.id).live(&core, &client, &route).await;
            });
        }
    }
}

fn acknowledgement(id: &Id, filter: &Filter) -> Bytes {
    let mut meta = ObjectWriter::new();
    meta.raw(meta_key::SUBSCRIPTION_ID, id);
    let mut params = ObjectWriter::new();
    params
        .raw("_meta", meta.finish())
        .raw("notifications", filter.to_json());
    jsonrpc::notification(method::LISTEN_ACKNOWLEDGED, Some(&params.finish())).into()
}

/// The result that ends a stream which we end.
fn goodbye(id: &Id) -> Bytes {
    let mut meta = ObjectWriter::new();
    meta.raw(meta_key::SERVER_INFO, about::own_info())
        .raw(meta_key::SUBSCRIPTION_ID, id);
    let mut result = ObjectWriter::new();
    result
        .text("resultType", "complete")
        .raw("_meta", meta.finish());
    jsonrpc::response(id, &result.finish()).into()
}

struct Standing {
    core: Arc<Core>,
    client: Arc<Client>,
    number: u64,
    messages: mpsc::Receiver<Bytes>,
    ready: VecDeque<Bytes>,
    id: Id,
    over: bool,
}

impl Standing {
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if let Some(message) = self.ready.pop_front() {
            sse::write_message(&mut out, None, &message);
            return Some(out.into());
        }
        if self.over {
            return None;
        }
        match tokio::time::timeout(self.core.config.keep_alive, self.messages.recv()).await {
            Ok(Some(message)) => sse::write_message(&mut out, None, &message),
            Ok(None) => {
                self.over = true;
                sse::write_message(&mut out, None, &goodbye(&self.id));
            }
            Err(_) => sse::write_keep_alive(&mut out),
        }
        Some(out.into())
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.client.listeners.remove(self.number);
        self.client.touch(&self.core);
    }
}
