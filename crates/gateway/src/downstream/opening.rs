//! How a session begins: `initialize`, answered for an agent by the gateway, for an instance by its server.

use std::sync::Arc;

use agentopia_mcp::{
    Envelope, Era, Field, Id, Json, ObjectWriter, RpcError, Splice, headers, jsonrpc,
    negotiate_initialize,
};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::Busy;
use super::session::{agent_of, own_hop};
use crate::aggregate::about;
use crate::clients::{Client, Hello, Target, empty_object};
use crate::core::Core;
use crate::edge::{Visit, answer};

/// The answer to `initialize` over Streamable HTTP.
pub(super) async fn initialize(visit: &Visit, message: Envelope) -> Response {
    match begin(visit, message, true).await {
        Ok(begun) => {
            let mut response = answer::json(StatusCode::OK, begun.answer);
            // Base64 is always a valid header value.
            if let Ok(session) = HeaderValue::from_str(&begun.session) {
                response.headers_mut().insert(headers::SESSION_ID, session);
            }
            response
        }
        Err(refused) => *refused,
    }
}

/// A session that has begun.
pub(super) struct Begun {
    /// Its id.
    pub(super) session: String,
    pub(super) client: Arc<Client>,
    /// The answer to `initialize`.
    pub(super) answer: Vec<u8>,
}

/// Opens a session with an `initialize`. `resumes`: whether its client can take up streams again.
pub(super) async fn begin(
    visit: &Visit,
    message: Envelope,
    resumes: bool,
) -> Result<Begun, Box<Response>> {
    let Some(id) = message.id() else {
        let sentence = "initialize is a request and needs an id";
        return Err(Box::new(answer::refused(StatusCode::BAD_REQUEST, sentence)));
    };
    let Some(requested) = message.text(Field::ParamsProtocolVersion) else {
        let error = RpcError::invalid_params("params.protocolVersion is missing or no text");
        return Err(Box::new(answer::error(Era::Session, &error, Some(&id))));
    };
    let version = negotiate_initialize(&requested);
    drop(requested);
    let raw = |field| {
        let value = message
            .raw(field)
            .filter(Json::is_object)
            .unwrap_or_else(empty_object);
        Bytes::copy_from_slice(value.as_bytes())
    };
    let hello = Hello {
        era: Era::Session,
        version,
        capabilities: raw(Field::ParamsCapabilities),
        info: raw(Field::ParamsClientInfo),
        resumes,
        initialize: Some(Bytes::copy_from_slice(message.bytes())),
    };
    let core = &visit.core;
    let opened = core
        .clients
        .open_session(core, visit.principal, visit.target, hello);
    let Ok((session, client)) = opened else {
        let sentence = "too many sessions are in use; close one or wait for it to end";
        return Err(Box::new(answer::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            sentence,
        )));
    };
    let _busy = Busy::new(core, &client);
    let result = match visit.target {
        Target::Agent(_) => match agent_of(core, &client) {
            Some(agent) => Ok(jsonrpc::response(&id, &about::initialize(&agent, version))),
            None => Err(RpcError::internal("the agent was removed")),
        },
        Target::Instance(_) => pass_initialize(core, &client, &id).await,
    };
    match result {
        Ok(answer) => Ok(Begun {
            session,
            client,
            answer,
        }),
        Err(error) => {
            core.clients.end(core, &client);
            Err(Box::new(answer::error(Era::Session, &error, Some(&id))))
        }
    }
}

/// An instance introduces itself in its own words; a modern one's are translated.
async fn pass_initialize(
    core: &Arc<Core>,
    client: &Arc<Client>,
    id: &Id,
) -> Result<Vec<u8>, RpcError> {
    let hop = own_hop(core, client).ok_or_else(|| RpcError::internal("the server was removed"))?;
    let live = hop
        .upstream
        .live(core, client, &hop.route)
        .await
        .map_err(|error| error.to_rpc(&hop.route.name))?;
    if let (Era::Session, Some(hello)) = (live.era, live.greeting.hello()) {
        return Ok(Splice::new(&hello).id(id).finish());
    }
    let mut capabilities = live.greeting.capabilities.clone();
    // Asked for with every request there, once for all here; the gateway sees to it.
    capabilities.set(&["logging"], empty_object());
    let mut result = ObjectWriter::new();
    result
        .text("protocolVersion", client.hello.version.as_str())
        .raw("capabilities", capabilities.to_json())
        .raw("serverInfo", live.greeting.server_info());
    if let Some(instructions) = live.greeting.instructions() {
        result.raw("instructions", instructions);
    }
    Ok(jsonrpc::response(id, &result.finish()))
}
