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
use crate::downstream;
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

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/agents/{id}/mcp", any(agent))
        .route("/instances/{id}/mcp", any(instance))
        .with_state(core)
}

async fn agent(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    serve(core, Endpoint::Agent(id.parse().ok()), request).await
}

async fn instance(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    serve(core, Endpoint::Instance(id.parse().ok()), request).await
}

async fn serve(core: Arc<Core>, endpoint: Endpoint, request: Request) -> Response {
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
    match parts.method {
        Method::POST => {
            if !is_json(&visit.headers) {
                let sentence = "send the message with content-type application/json";
                return answer::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence);
            }
            match read_body(body, visit.core.config.max_body_bytes).await {
                Ok(body) => downstream::post(&visit, body).await,
                Err(refused) => refused,
            }
        }
        Method::GET => {
            if !accepts_events(&visit.headers) {
                let sentence = "the stream of an MCP session is text/event-stream";
                return answer::refused(StatusCode::NOT_ACCEPTABLE, sentence);
            }
            downstream::get(&visit)
        }
        Method::DELETE => downstream::delete(&visit),
        _ => answer::method_not_allowed("GET, POST, DELETE"),
    }
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
