//! The HTTP surface: addresses, guards, authentication, body limits. What a message means is
//! decided in `downstream`.

pub(crate) mod answer;
mod auth;
mod guard;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::clients::Target;
use crate::core::Core;
use crate::downstream::{self, http_sse};
use crate::principal::Principal;
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
enum Door {
    /// Streamable HTTP and the modern era.
    Mcp,
    /// The stream of HTTP+SSE.
    Sse,
    /// Where its messages are posted to.
    Messages,
}

pub(crate) fn router(core: Arc<Core>) -> Router {
    let doors = [
        ("mcp", Door::Mcp),
        ("sse", Door::Sse),
        ("messages", Door::Messages),
    ];
    let mut router = Router::new();
    for (name, door) in doors {
        let agent = async move |State(core), Path(id): Path<String>, request: Request| {
            serve(core, Endpoint::Agent(id.parse().ok()), door, request).await
        };
        let instance = async move |State(core), Path(id): Path<String>, request: Request| {
            serve(core, Endpoint::Instance(id.parse().ok()), door, request).await
        };
        router = router
            .route(&format!("/agents/{{id}}/{name}"), any(agent))
            .route(&format!("/instances/{{id}}/{name}"), any(instance));
    }
    router.with_state(core)
}

async fn serve(core: Arc<Core>, endpoint: Endpoint, door: Door, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(refused) = guard::check(&core.config, &parts.uri, &parts.headers) {
        return refused;
    }
    let (principal, target) = match auth::check(&core, &parts.headers, endpoint).await {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let visit = Visit {
        core,
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
            None => downstream::get(&visit).await,
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
                http_sse::post(visit, id.as_deref(), body).await
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

async fn read_message(visit: &Visit, body: Body) -> Result<Bytes, Box<Response>> {
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

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Response> {
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
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
