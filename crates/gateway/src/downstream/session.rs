//! The session era: Streamable HTTP of 2025-03-26, 2025-06-18 and 2025-11-25.

use std::sync::Arc;

use agentopia_mcp::{
    Envelope, Era, ErrorCode, Field, Id, Json, Kind, ListKind, ObjectWriter, ProtocolVersion,
    RpcError, Splice, headers, jsonrpc, method,
};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use super::opening::initialize;
use super::{Busy, subscribe, while_sending};
use crate::aggregate::{list, resolve};
use crate::clients::{AskedBy, Client, Target, empty_object};
use crate::core::Core;
use crate::edge::{Visit, answer};
use crate::relay::trace::Trace;
use crate::relay::{Asking, relay};
use crate::routes::AgentRoute;
use crate::search::{self, Taken};
use crate::upstream::call::{ask, tell};

pub(super) async fn post(visit: &Visit, message: Envelope) -> Response {
    if message.method() == method::INITIALIZE {
        return Box::pin(initialize(visit, message)).await;
    }
    match find(visit) {
        Ok(client) => {
            let busy = Busy::new(&visit.core, &client);
            let response = handle(visit, &client, message).await;
            while_sending(response, busy)
        }
        Err(refused) => *refused,
    }
}

/// The session that a request names, if its headers are in order.
pub(super) fn find(visit: &Visit) -> Result<Arc<Client>, Box<Response>> {
    let bad = |sentence: &str| Box::new(answer::refused(StatusCode::BAD_REQUEST, sentence));
    if let Some(version) = visit.headers.get(headers::PROTOCOL_VERSION) {
        let known = version
            .to_str()
            .ok()
            .and_then(ProtocolVersion::parse)
            .is_some_and(|version| version.era() == Era::Session);
        if !known {
            return Err(bad("this MCP-Protocol-Version is not supported"));
        }
    }
    let mut ids = visit.headers.get_all(headers::SESSION_ID).iter();
    let (id, more) = (ids.next(), ids.next());
    let (Some(id), None) = (id.and_then(|id| id.to_str().ok()), more) else {
        return Err(bad(
            "send the Mcp-Session-Id that `initialize` returned, once",
        ));
    };
    visit
        .core
        .clients
        .session(id, &visit.principal, visit.target)
        .ok_or_else(|| {
            let error = RpcError::new(ErrorCode(-32001), "the session is over; initialize anew");
            Box::new(answer::problem(StatusCode::NOT_FOUND, &error))
        })
}

/// What a message in a session asks for.
pub(super) async fn handle(visit: &Visit, client: &Arc<Client>, message: Envelope) -> Response {
    let core = &visit.core;
    match message.kind() {
        Kind::Request => match message.id() {
            Some(id) => request(visit, client, &message, &id).await,
            None => answer::refused(StatusCode::BAD_REQUEST, "a request needs an id"),
        },
        Kind::Notification => {
            notification(core, client, &message);
            answer::accepted()
        }
        Kind::Response | Kind::ErrorResponse => {
            client_answer(core, client, &message);
            answer::accepted()
        }
    }
}

async fn request(visit: &Visit, client: &Arc<Client>, message: &Envelope, id: &Id) -> Response {
    let core = &visit.core;
    let called = message.method();
    let empty = || answer::json(StatusCode::OK, jsonrpc::response(id, &empty_object()));
    if called == method::PING {
        return empty();
    }
    let agent = match visit.target {
        Target::Instance(_) => None,
        Target::Agent(_) => match agent_of(core, client) {
            Some(agent) => Some(agent),
            None => return answer::unknown_endpoint(),
        },
    };
    match &*called {
        method::SET_LEVEL => {
            let Some(level) = message.raw(Field::ParamsLevel) else {
                let error = RpcError::invalid_params("params.level is missing");
                return answer::error(Era::Session, &error, Some(id));
            };
            Box::pin(set_level(core, client, &level)).await;
            return empty();
        }
        method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
            let subscribing = subscribe::session(core, client, agent.as_ref(), message);
            return match Box::pin(subscribing).await {
                Ok(()) => empty(),
                Err(error) => answer::error(Era::Session, &error, Some(id)),
            };
        }
        _ => {}
    }
    let asking = Asking {
        core,
        client,
        message,
        id,
        headers: &visit.headers,
        trace: Trace::of(message, &visit.headers, &core.traces),
        inner: false,
    };
    let Some(agent) = agent else {
        return match own_hop(core, client) {
            Some(hop) => relay(&asking, vec![hop]).await,
            None => answer::unknown_endpoint(),
        };
    };
    if let Some(kind) = ListKind::of_method(&called) {
        return answer::json(
            StatusCode::OK,
            Box::pin(list::answer(core, client, &agent, kind, id)).await,
        );
    }
    let inside;
    let asking = match search::take(core, client, &agent, message, id).await {
        Taken::Answer(found) => return answer::json(StatusCode::OK, found),
        Taken::Call(call) => {
            inside = call;
            asking.inside(&inside)
        }
        Taken::No => asking,
    };
    match resolve::resolve(core, client, &agent, asking.message).await {
        Ok(way) => relay(&asking, way).await,
        Err(error) => answer::error(Era::Session, &error, Some(id)),
    }
}

fn notification(core: &Arc<Core>, client: &Arc<Client>, message: &Envelope) {
    match &*message.method() {
        // Said to each server at the end of our own handshake with it.
        method::INITIALIZED => {}
        method::CANCELLED => {
            let call = message
                .id_in(Field::ParamsRequestId)
                .and_then(|id| client.calls.lock().get(&id).cloned());
            // An unknown id is one that was answered meanwhile.
            if let Some((_, call)) = call {
                call.cancel();
            }
        }
        method::PROGRESS => {
            let token = message
                .id_in(Field::ParamsProgressToken)
                .and_then(|t| t.as_u64());
            let asked = token.and_then(|token| client.asked.lock().get(&token).cloned());
            // There is no way to tell a modern server.
            if let Some(AskedBy::Message {
                upstream,
                progress: Some(theirs),
                ..
            }) = asked.map(|asked| asked.by)
                && let Some(live) = upstream.current()
            {
                let note = Splice::new(message)
                    .set(Field::ParamsProgressToken, &theirs)
                    .finish();
                tell(core, client, &live, note.into());
            }
        }
        _ => {
            for upstream in client.upstreams() {
                if let Some(live) = upstream.current().filter(|live| live.era == Era::Session) {
                    tell(core, client, &live, Bytes::copy_from_slice(message.bytes()));
                }
            }
        }
    }
}

/// The client answers a question of a server: it goes back under the server's own id (rule 9).
fn client_answer(core: &Arc<Core>, client: &Arc<Client>, message: &Envelope) {
    let number = message.id().and_then(|id| id.as_u64());
    let Some(number) = number else { return };
    let asked = client.asked.lock().remove(&number);
    match asked.map(|asked| asked.by) {
        Some(AskedBy::Message { upstream, id, .. }) => {
            if let Some(live) = upstream.current() {
                let back = Splice::new(message).id(&id).finish();
                tell(core, client, &live, back.into());
            }
        }
        Some(AskedBy::Result(waiting)) => {
            let answer = Bytes::copy_from_slice(message.bytes());
            // Where nobody waits any more the call is over.
            let _over = waiting.send((number, answer));
        }
        None => {}
    }
}

/// Stored for servers to come, sent to those that are there.
async fn set_level(core: &Arc<Core>, client: &Arc<Client>, level: &Json<'_>) {
    *client.log_level.lock() = Some(Bytes::copy_from_slice(level.as_bytes()));
    let mut params = ObjectWriter::new();
    params.raw("level", level);
    let params = params.finish();
    let upstreams = client.upstreams();
    let telling = upstreams.iter().filter_map(|upstream| {
        let live = upstream.current()?;
        let takes = live.era == Era::Session && live.greeting.capabilities.has(&["logging"]);
        let params = &params;
        takes.then_some(async move {
            let route = &live.route;
            let asked = ask(
                core,
                client,
                upstream,
                route,
                method::SET_LEVEL,
                Some(params),
            )
            .await;
            if let Err(error) = asked {
                tracing::debug!(instance = %upstream.instance, %error, "log level");
            }
        })
    });
    let all = futures::future::join_all(telling);
    // A slow server learns it all the same.
    let _late = tokio::time::timeout(core.config.fan_out_deadline, all).await;
}

/// The agent as it is now.
pub(super) fn agent_of(core: &Core, client: &Client) -> Option<Arc<AgentRoute>> {
    match client.target {
        Target::Agent(id) => core.routes.load().agents.get(&id).cloned(),
        Target::Instance(_) => None,
    }
}

/// The one server behind an instance's endpoint.
pub(super) fn own_hop(core: &Core, client: &Client) -> Option<resolve::Hop> {
    match client.target {
        Target::Instance(id) => resolve::hop(core, client, id),
        Target::Agent(_) => None,
    }
}

pub(super) fn delete(visit: &Visit) -> Response {
    match find(visit) {
        Ok(client) => {
            visit.core.clients.end(&visit.core, &client);
            answer::no_content()
        }
        Err(refused) => *refused,
    }
}
