//! The HTTP surface: addresses, guards, authentication, body limits. What a message means is
//! decided in `downstream`.

pub(crate) mod answer;
mod auth;
mod guard;

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;

use crate::clients::Target;
use crate::core::Core;
use crate::downstream::{self, http_sse};
use crate::principal::Principal;
use crate::upstream::connector::BodyError;
use auth::Endpoint;

/// How long a client may take to send a request's body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A request of somebody who may make it.
pub(crate) struct Visit {
    pub(crate) core: Arc<Core>,
    pub(crate) principal: Principal,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
}

/// What an address of an endpoint is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    /// Streamable HTTP and the modern era.
    Mcp,
    /// The stream of HTTP+SSE.
    Sse,
    /// Where its messages are posted to.
    Messages,
}

/// What a path stands for; `None` where it is not one of ours.
pub(crate) fn place(path: &str) -> Option<(Endpoint, Door)> {
    let (rest, door) = path.rsplit_once('/')?;
    let door = match door {
        "mcp" => Door::Mcp,
        "sse" => Door::Sse,
        "messages" => Door::Messages,
        _ => return None,
    };
    let endpoint = match rest.strip_prefix('/')?.split_once('/')? {
        (_, id) if id.is_empty() || id.contains('/') => return None,
        ("agents", id) => Endpoint::Agent(id.parse().ok()),
        ("instances", id) => Endpoint::Instance(id.parse().ok()),
        _ => return None,
    };
    Some((endpoint, door))
}

/// Answers a request; a panic on the way is one client's trouble and nobody else's.
pub(crate) async fn handle<B>(core: &Arc<Core>, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<BodyError>,
{
    let Some((endpoint, door)) = place(request.uri().path()) else {
        return answer::unknown_endpoint();
    };
    let answering = AssertUnwindSafe(serve(core, endpoint, door, request)).catch_unwind();
    let mut response = answering.await.unwrap_or_else(|_| {
        tracing::error!("a request made the gateway panic");
        answer::broken()
    });
    protect(core, response.headers_mut());
    response
}

/// Headers of every answer (SEC-7). Those that concern pages alone are not among them: no page is served here.
fn protect(core: &Core, headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if core.config.is_https() {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

async fn serve<B>(core: &Arc<Core>, endpoint: Endpoint, door: Door, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<BodyError>,
{
    let (parts, body) = request.into_parts();
    if let Some(refused) = guard::check(&core.config, &parts.uri, &parts.headers) {
        return refused;
    }
    let (principal, target) = match auth::check(core, &parts.headers, endpoint, door).await {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let visit = Visit {
        core: core.clone(),
        principal,
        target,
        headers: parts.headers,
    };
    match (door, parts.method) {
        (Door::Mcp, Method::POST) => match read_message(&visit, body).await {
            Ok(body) => downstream::post(&visit, body).await,
            Err(refused) => *refused,
        },
        (Door::Mcp, Method::GET) => match refuse_without_events(&visit) {
            Some(refused) => refused,
            None => Box::pin(downstream::get(&visit)).await,
        },
        (Door::Mcp, Method::DELETE) => downstream::delete(&visit),
        (Door::Mcp, _) => answer::method_not_allowed("GET, POST, DELETE"),
        (Door::Sse, Method::GET) => refuse_without_events(&visit)
            .unwrap_or_else(|| http_sse::open(&visit, &messages_of(parts.uri.path()))),
        // Clients that try the newer transport first learn by this that there is only the older one.
        (Door::Sse, _) => answer::method_not_allowed("GET"),
        (Door::Messages, Method::POST) => match read_message(&visit, body).await {
            Ok(body) => {
                let id = session_id(parts.uri.query());
                Box::pin(http_sse::post(visit, id.as_deref(), body)).await
            }
            Err(refused) => *refused,
        },
        (Door::Messages, _) => answer::method_not_allowed("POST"),
    }
}

/// The address beside that of a stream. Without host, so that it holds behind every proxy.
fn messages_of(stream: &str) -> String {
    let parent = stream.trim_end_matches(|c| c != '/');
    format!("{parent}messages")
}

fn session_id(query: Option<&str>) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query?.as_bytes());
    let mut ids = pairs.filter(|(key, _)| key == "session_id");
    ids.next().map(|(_, id)| id.into_owned())
}

fn refuse_without_events(visit: &Visit) -> Option<Response> {
    let sentence = "the stream of an MCP session is text/event-stream";
    (!accepts_events(&visit.headers)).then(|| answer::refused(StatusCode::NOT_ACCEPTABLE, sentence))
}

async fn read_message<B>(visit: &Visit, body: B) -> Result<Bytes, Box<Response>>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<BodyError>,
{
    if !is_json(&visit.headers) {
        let sentence = "send the message with content-type application/json";
        let refused = answer::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence);
        return Err(Box::new(refused));
    }
    let body = read_body(body, visit.core.config.max_body_bytes).await;
    body.map_err(Box::new)
}

/// Browsers send other types across origins without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    values.peek().is_some()
        && values
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|range| {
                let essence = range.split(';').next().unwrap_or_default().trim();
                ["text/event-stream", "text/*", "*/*"]
                    .iter()
                    .any(|ok| essence.eq_ignore_ascii_case(ok))
            })
}

async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, Response>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<BodyError>,
{
    match tokio::time::timeout(BODY_PATIENCE, collect(body, limit)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => {
            let sentence = format!("the message is larger than {limit} bytes; send less");
            Err(answer::refused(StatusCode::PAYLOAD_TOO_LARGE, &sentence))
        }
        Ok(Err(_)) => Err(answer::refused(
            StatusCode::BAD_REQUEST,
            "the message broke off",
        )),
        Err(_) => Err(answer::refused(
            StatusCode::REQUEST_TIMEOUT,
            "the message took too long",
        )),
    }
}

/// All of a body, as it came if it came in one piece; `None` if it is longer than `limit`.
async fn collect<B>(body: B, limit: usize) -> Result<Option<Bytes>, B::Error>
where
    B: http_body::Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.as_mut().frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        if first.len() + whole.len() + piece.len() > limit {
            return Ok(None);
        }
        if first.is_empty() && whole.is_empty() {
            first = piece;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&piece);
        }
    }
    Ok(Some(match first.is_empty() {
        true => whole.freeze(),
        false => first,
    }))
}
