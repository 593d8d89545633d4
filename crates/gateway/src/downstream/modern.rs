//! The modern era: every request stands for itself. What is kept for its client (upstream sessions,
//! lists) is found by credential and capabilities, and could be lost at any moment without harm.

use std::sync::Arc;

use agentopia_mcp::{
    Envelope, Era, Field, Id, Json, Kind, ListKind, ObjectWriter, RpcError, headers, jsonrpc,
    method,
};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use super::session::{agent_of, own_hop};
use super::{Busy, listen, while_sending};
use crate::aggregate::{about, list, resolve};
use crate::clients::{Client, Hello, Target, empty_object};
use crate::edge::{Visit, answer};
use crate::relay::trace::Trace;
use crate::relay::{Asking, relay};
use crate::search::{self, Taken};

pub(super) async fn post(visit: &Visit, message: Envelope) -> Response {
    let id = message.id();
    let checked = match headers::check_request(&visit.headers, &message) {
        Ok(checked) => checked,
        Err(refusal) => return answer::refusal(&refusal.to_error(), id.as_ref()),
    };
    match (message.kind(), id) {
        (Kind::Request, Some(id)) => {
            let client = client(visit, &message, checked.version);
            let busy = Busy::new(&visit.core, &client);
            let response = request(visit, &client, &message, &id).await;
            while_sending(response, busy)
        }
        // Cancelling is closing the stream; no other notification means anything here.
        (Kind::Notification, _) => answer::accepted(),
        _ => answer::refused(
            StatusCode::BAD_REQUEST,
            "this revision has no responses from clients: repeat the request with inputResponses",
        ),
    }
}

fn client(
    visit: &Visit,
    message: &Envelope,
    version: agentopia_mcp::ProtocolVersion,
) -> Arc<Client> {
    let raw = |field| {
        let value = message
            .raw(field)
            .filter(Json::is_object)
            .unwrap_or_else(empty_object);
        Bytes::copy_from_slice(value.as_bytes())
    };
    let core = &visit.core;
    let capabilities = message
        .raw(Field::MetaClientCapabilities)
        .unwrap_or_else(empty_object);
    core.clients.modern(
        core,
        visit.principal,
        visit.target,
        capabilities.as_bytes(),
        || Hello {
            resumes: false,
            era: Era::Modern,
            version,
            capabilities: raw(Field::MetaClientCapabilities),
            info: raw(Field::MetaClientInfo),
            initialize: None,
        },
    )
}

async fn request(visit: &Visit, client: &Arc<Client>, message: &Envelope, id: &Id) -> Response {
    let core = &visit.core;
    let called = message.method();
    if method::SESSION_ONLY.contains(&&*called) {
        return answer::error(Era::Modern, &RpcError::method_not_found(&called), Some(id));
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
    match visit.target {
        Target::Instance(_) => instance(&asking).await,
        Target::Agent(_) => match agent_of(core, client) {
            Some(agent) => {
                if called == method::DISCOVER {
                    let result = jsonrpc::response(id, &about::discover(&agent));
                    return answer::json(StatusCode::OK, result);
                }
                if called == method::LISTEN {
                    return Box::pin(listen::open(&asking, Some(&agent))).await;
                }
                if let Some(kind) = ListKind::of_method(&called) {
                    let list = Box::pin(list::answer(core, client, &agent, kind, id)).await;
                    return answer::json(StatusCode::OK, list);
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
                    Err(error) => answer::error(Era::Modern, &error, Some(id)),
                }
            }
            None => answer::unknown_endpoint(),
        },
    }
}

/// One server as it is; what a session-era one does not have is made here.
async fn instance(asking: &Asking<'_>) -> Response {
    let Some(hop) = own_hop(asking.core, asking.client) else {
        return answer::unknown_endpoint();
    };
    let called = asking.message.method();
    if called == method::DISCOVER || called == method::LISTEN {
        let live = match hop
            .upstream
            .live(asking.core, asking.client, &hop.route)
            .await
        {
            Ok(live) => live,
            Err(error) => {
                let error = error.to_rpc(&hop.route.name);
                return answer::error(Era::Modern, &error, Some(asking.id));
            }
        };
        if live.era == Era::Session {
            if called == method::LISTEN {
                return Box::pin(listen::open(asking, None)).await;
            }
            let discovered = discover_of_session(&live);
            return answer::json(StatusCode::OK, jsonrpc::response(asking.id, &discovered));
        }
    }
    relay(asking, vec![hop]).await
}

/// What a session-era server would say to `server/discover` (rule 2).
fn discover_of_session(live: &crate::upstream::Live) -> Json<'static> {
    let mut capabilities = live.greeting.capabilities.clone();
    capabilities.remove(&["logging"]);
    capabilities.remove(&["tasks"]);
    let mut result: ObjectWriter = jsonrpc::modern_result("complete", &live.greeting.server_info());
    about::add_versions(&mut result);
    result.raw("capabilities", capabilities.to_json());
    if let Some(instructions) = live.greeting.instructions() {
        result.raw("instructions", instructions);
    }
    result.raw("ttlMs", 0).text("cacheScope", "private");
    result.finish()
}
