//! The handlers: which of the ways of talking it is, then one step each.

#![expect(
    clippy::result_large_err,
    reason = "the error is the response itself, moved once on its way out"
)]

use std::sync::Arc;

use agentopia_bridge::{SendError, answer, front, refusal as bridge};
use agentopia_domain::{InstanceId, LinkId};
use agentopia_dtma_api::to_control_plane::OwnSecretsUse;
use agentopia_dtma_api::to_dtma::{OwnCredentials, SESSION_KEY_HEADER};
use agentopia_mcp::{Envelope, Era, Kind, era_of, jsonrpc};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use super::sessions::{NO_SESSION, Session, StdioTool};
use super::{DataPath, load, own, refusal};
use crate::runtime::ToolChannel;

/// The longest session key that is taken.
const LONGEST_KEY: usize = 256;

/// `/v1/instances/{id}/mcp`.
pub(super) async fn serve(
    State(path): State<Arc<DataPath>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response {
    let Ok(id) = id.parse::<InstanceId>() else {
        return unknown_instance();
    };
    forward(&path, id, None, request).await
}

/// `/v1/instances/{id}/links/{link}/{revision}/mcp`.
pub(super) async fn serve_link(
    State(path): State<Arc<DataPath>>,
    Path((id, link, revision)): Path<(String, String, String)>,
    request: Request<Body>,
) -> Response {
    let (Ok(id), Ok(link)) = (id.parse::<InstanceId>(), link.parse::<LinkId>()) else {
        return unknown_instance();
    };
    let own = OwnSecretsUse {
        instance_id: id,
        own: OwnCredentials { link, revision },
    };
    forward(&path, id, Some(&own), request).await
}

pub(super) async fn forward(
    path: &DataPath,
    id: InstanceId,
    own: Option<&OwnSecretsUse>,
    request: Request<Body>,
) -> Response {
    if request.method() != Method::POST {
        return pass(path, id, own, request).await;
    }
    let open = path.loads.begin(id);
    load::until_answered(open, pass(path, id, own, request).await)
}

async fn pass(
    path: &DataPath,
    id: InstanceId,
    own: Option<&OwnSecretsUse>,
    request: Request<Body>,
) -> Response {
    let Some(handle) = path.runtime.tool(id).await else {
        return not_running(path, id).await;
    };
    match &handle.channel {
        ToolChannel::Http { .. } if own.is_some() => own::unsupported(),
        ToolChannel::Http {
            address,
            path: endpoint,
        } => path.proxy.forward(*address, endpoint, request).await,
        ToolChannel::Sse {
            address,
            path: endpoint,
        } => path.sse.serve(&handle, *address, endpoint, request).await,
        ToolChannel::Stdio { spawner, processes } => {
            let tool = StdioTool {
                handle: &handle,
                spawner,
                processes: *processes,
                runtime: &path.runtime,
                own,
            };
            stdio(path, tool, request).await
        }
    }
}

fn unknown_instance() -> Response {
    refusal::problem(
        StatusCode::NOT_FOUND,
        "instance_not_found",
        "there is no such instance on this machine",
    )
}

async fn not_running(path: &DataPath, id: InstanceId) -> Response {
    match path.runtime.inspect(id).await {
        Ok(None) => unknown_instance(),
        Ok(Some(_)) => refusal::not_delivered(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_running",
            "the instance does not run at the moment: start it, or try again once it has started",
        ),
        Err(error) => refusal::runtime(&error),
    }
}

async fn stdio(path: &DataPath, tool: StdioTool<'_>, request: Request<Body>) -> Response {
    let session = match session_of(path, tool, request.headers()) {
        Ok(session) => session,
        Err(response) => return response,
    };
    match (request.method(), session) {
        (&Method::POST, session) => {
            let (parts, body) = request.into_parts();
            post(path, tool, session, &parts.headers, body).await
        }
        (&Method::GET, Some(session)) => front::listen(&session.process, session.client),
        (&Method::DELETE, Some(session)) => {
            path.sessions.close(&session);
            front::closed()
        }
        _ => front::not_allowed(),
    }
}

/// The session that the request names; an error if that is not there.
fn session_of(
    path: &DataPath,
    tool: StdioTool<'_>,
    headers: &HeaderMap,
) -> Result<Option<Arc<Session>>, Response> {
    let Some(id) = headers.get(front::SESSION_ID) else {
        return Ok(None);
    };
    let found = id
        .to_str()
        .ok()
        .and_then(|id| path.sessions.find(tool.handle.instance_id, tool.own, id));
    found.map(Some).ok_or_else(bridge::no_session)
}

async fn post(
    path: &DataPath,
    tool: StdioTool<'_>,
    session: Option<Arc<Session>>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let message = match read(path, body).await {
        Ok(message) => message,
        Err(response) => return response,
    };
    match session {
        Some(session) => in_session(&session, &message).await,
        None if front::is_initialize(&message) => begin_session(path, tool, &message).await,
        None if era_of(&message, headers) == Era::Modern => {
            stateless(path, tool, headers, &message).await
        }
        None => front::needs_session(&message),
    }
}

async fn read(path: &DataPath, body: Body) -> Result<Envelope<Bytes>, Response> {
    let limits = &path.config.limits;
    front::message(limits, front::collect(limits, body).await?)
}

async fn in_session(session: &Session, message: &Envelope<Bytes>) -> Response {
    if let (Some(result), Some(id)) = (&session.initialized, message.id())
        && front::is_initialize(message)
    {
        return answer::json(jsonrpc::response(&id, result).into());
    }
    front::take(&session.process, session.client, message).await
}

async fn begin_session(
    path: &DataPath,
    tool: StdioTool<'_>,
    message: &Envelope<Bytes>,
) -> Response {
    let session = match path.sessions.open(tool).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    // A client that goes away before it learnt the session's name can never use it.
    let unclaimed = Unclaimed {
        path,
        session: Some(&session),
    };
    let Some(id) = message.id() else {
        return bridge::no_session();
    };
    let mut response = match &session.initialized {
        Some(result) => answer::json(jsonrpc::response(&id, result).into()),
        None => match front::begin(&session.process, session.client, message).await {
            Ok(response) => response,
            Err(response) => return response,
        },
    };
    unclaimed.claim();
    front::name_session(&mut response, &session.id);
    response
}

/// Closes a session that was never claimed.
struct Unclaimed<'a> {
    path: &'a DataPath,
    session: Option<&'a Arc<Session>>,
}

impl Unclaimed<'_> {
    fn claim(mut self) {
        self.session = None;
    }
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.path.sessions.close(session);
        }
    }
}

/// A message of the modern era.
async fn stateless(
    path: &DataPath,
    tool: StdioTool<'_>,
    headers: &HeaderMap,
    message: &Envelope<Bytes>,
) -> Response {
    let key = match headers.get(SESSION_KEY_HEADER).map(HeaderValue::to_str) {
        None => None,
        Some(Ok(key)) if (1..=LONGEST_KEY).contains(&key.len()) => Some(key),
        Some(_) => {
            return refusal::problem(
                StatusCode::BAD_REQUEST,
                "invalid_session_key",
                format!(
                    "{SESSION_KEY_HEADER} has to be 1 to {LONGEST_KEY} visible ASCII characters"
                ),
            );
        }
    };
    let Some(id) = message.id().filter(|_| message.kind() == Kind::Request) else {
        // Over HTTP the modern era has nothing but requests; what else comes is taken and ends here.
        return front::accepted();
    };
    let mut again = true;
    loop {
        let process = match path.sessions.modern(tool, key).await {
            Ok(process) => process,
            Err(response) => return response,
        };
        match process.request(NO_SESSION, message).await {
            Ok(call) => return answer::to_call(call, &id).await,
            // It ended between being chosen and being asked; it never saw the request.
            Err(SendError::Gone(_)) if again => again = false,
            Err(error) => return bridge::send(&error, Some(&id)),
        }
    }
}
