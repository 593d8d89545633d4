//! The session era: Streamable HTTP of 2025-03-26, 2025-06-18 and 2025-11-25.

use std::convert::Infallible;
use std::sync::Arc;

use agentopia_mcp::{
    Envelope, Era, ErrorCode, Field, Id, Json, Kind, ListKind, ObjectWriter, ProtocolVersion,
    RpcError, Splice, headers, jsonrpc, method, negotiate_initialize, sse,
};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::{Busy, subscribe, while_sending};
use crate::aggregate::{about, list, resolve};
use crate::clients::outbox::Reader;
use crate::clients::{AskedBy, Client, Hello, Target, empty_object};
use crate::core::Core;
use crate::edge::{Visit, answer};
use crate::relay::trace::Trace;
use crate::relay::{Asking, relay, resumable};
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

async fn initialize(visit: &Visit, message: Envelope) -> Response {
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

pub(super) async fn get(visit: &Visit) -> Response {
    let client = match find(visit) {
        Ok(client) => client,
        Err(refused) => return *refused,
    };
    client.touch(&visit.core);
    let after = match visit.headers.get(headers::LAST_EVENT_ID) {
        None => None,
        Some(id) => match id.to_str().ok().and_then(resumable::read_event_id) {
            Some((0, after)) => Some(after),
            Some((stream, after)) => return resume(visit, &client, stream, after).await,
            None => return not_kept(),
        },
    };
    let reader = client.outbox.attach(after);
    let primed = client.hello.version >= ProtocolVersion::V2025_11_25 && after.is_none();
    let standing = Standing {
        reader,
        primed,
        client: client.clone(),
        core: visit.core.clone(),
    };
    client.listen_upstream(&visit.core);
    let chunks = futures::stream::unfold(standing, |mut standing| async move {
        let chunk = standing.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), standing))
    });
    answer::events(Body::from_stream(chunks))
}

/// An answer is taken up again after the event with the number `after`.
async fn resume(visit: &Visit, client: &Arc<Client>, stream: u64, after: u64) -> Response {
    let core = &visit.core;
    let Some(stream) = client.streams.find(stream) else {
        return not_kept();
    };
    match resumable::resume(core, client, stream, after).await {
        Some(response) => while_sending(response, Busy::new(core, client)),
        None => not_kept(),
    }
}

fn not_kept() -> Response {
    let sentence =
        "the stream with this Last-Event-ID is not kept (any more); make the request anew";
    answer::refused(StatusCode::BAD_REQUEST, sentence)
}

/// The GET stream of a session.
struct Standing {
    reader: Reader,
    /// It begins with an id to come back with.
    primed: bool,
    client: Arc<Client>,
    core: Arc<Core>,
}

impl Standing {
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.primed) {
            let id = resumable::event_id(0, self.client.outbox.last_sent());
            sse::write_priming(&mut out, &id, None);
            return Some(out.into());
        }
        let next = self.client.outbox.next(self.reader);
        tokio::select! {
            () = self.client.ended.cancelled() => return None,
            next = tokio::time::timeout(self.core.config.keep_alive, next) => match next {
                Ok(next) => {
                    let (number, message) = next?;
                    let id = resumable::event_id(0, number);
                    sse::write_message(&mut out, Some(&id), &message);
                }
                Err(_) => sse::write_keep_alive(&mut out),
            },
        }
        Some(out.into())
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.client.outbox.detach(self.reader);
        self.client.touch(&self.core);
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
