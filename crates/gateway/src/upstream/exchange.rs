//! One HTTP request to a server and what kind of answer it got.

use std::sync::Arc;

use agentopia_mcp::{Envelope, Era, Field, Limits, headers};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};

use super::connector::{LINK_HEADER, SESSION_KEY_HEADER, UpstreamBody};
use super::reader::{EventReader, read_all};
use super::{Live, UpstreamError};
use crate::clients::Client;
use crate::core::Core;
use crate::routes::InstanceRoute;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// An answer's body, by what it is.
pub(crate) enum Reply {
    /// One message.
    Json(StatusCode, UpstreamBody),
    /// A stream of messages.
    Events(Box<EventReader>),
    /// Taken; nothing to say.
    Accepted,
}

/// Sends a message on an open connection. `extra` goes along as it is (`Mcp-Param-*`), and for
/// modern servers must hold the standard headers.
pub(crate) async fn post(
    core: &Core,
    client: &Client,
    live: &Live,
    body: Bytes,
    extra: HeaderMap,
) -> Result<Reply, UpstreamError> {
    let mut headers = extra;
    if live.era == Era::Session {
        headers.insert(
            headers::PROTOCOL_VERSION,
            HeaderValue::from_static(live.version.as_str()),
        );
        if let Some(session) = &live.session {
            headers.insert(headers::SESSION_ID, session.clone());
        }
    }
    let response = send(core, client, &live.route, Method::POST, headers, body).await?;
    if response.status() == StatusCode::NOT_FOUND && live.session.is_some() {
        live.lose();
        return Err(UpstreamError::SessionLost);
    }
    match reply(core, response)? {
        Reply::Json(StatusCode::BAD_REQUEST, body) if live.session.is_some() => {
            let max = core.config.max_upstream_message_bytes;
            let raw = read_all(body, max, core.config.call_idle_timeout).await?;
            if says_session_lost(&raw) {
                live.lose();
                return Err(UpstreamError::SessionLost);
            }
            let body = Full::new(raw)
                .map_err(|never| match never {})
                .boxed_unsync();
            Ok(Reply::Json(StatusCode::BAD_REQUEST, body))
        }
        other => Ok(other),
    }
}

/// Some servers say with 400 what the specification says with 404; the request was refused all the
/// same.
fn says_session_lost(raw: &[u8]) -> bool {
    let Ok(response) = Envelope::scan(raw, &Limits::default()) else {
        return false;
    };
    response
        .error_code()
        .is_some_and(|code| matches!(code.0, -32000 | -32001))
        && response
            .text(Field::ErrorMessage)
            .is_some_and(|text| text.to_ascii_lowercase().contains("session"))
}

/// Sends a message before there is a connection: the handshake. Gives the headers back too.
pub(crate) async fn post_first(
    core: &Core,
    client: &Client,
    route: &Arc<InstanceRoute>,
    body: Bytes,
    extra: HeaderMap,
) -> Result<(HeaderMap, Reply), UpstreamError> {
    let response = send(core, client, route, Method::POST, extra, body).await?;
    let headers = response.headers().clone();
    Ok((headers, reply(core, response)?))
}

/// Opens the session era's standing stream. `None` if the server has none.
pub(crate) async fn get(
    core: &Core,
    client: &Client,
    live: &Live,
    last_event: Option<&str>,
) -> Result<Option<EventReader>, UpstreamError> {
    let mut headers = session_headers(live);
    if let Some(id) = last_event.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(headers::LAST_EVENT_ID, id);
    }
    let response = send(
        core,
        client,
        &live.route,
        Method::GET,
        headers,
        Bytes::new(),
    )
    .await?;
    match response.status() {
        StatusCode::NOT_FOUND if live.session.is_some() => {
            live.lose();
            Err(UpstreamError::SessionLost)
        }
        StatusCode::OK => match reply(core, response)? {
            Reply::Events(reader) => Ok(Some(*reader)),
            _ => Ok(None),
        },
        status if status.is_client_error() => Ok(None),
        status => Err(UpstreamError::Status(status.as_u16())),
    }
}

/// Says goodbye.
pub(crate) async fn delete(core: &Core, client: &Client, live: &Live) -> Result<(), UpstreamError> {
    let headers = session_headers(live);
    // Servers may refuse it (405); we are gone either way.
    send(
        core,
        client,
        &live.route,
        Method::DELETE,
        headers,
        Bytes::new(),
    )
    .await
    .map(drop)
}

fn session_headers(live: &Live) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        headers::PROTOCOL_VERSION,
        HeaderValue::from_static(live.version.as_str()),
    );
    if let Some(session) = &live.session {
        headers.insert(headers::SESSION_ID, session.clone());
    }
    headers
}

/// Headers for a message to a modern server, by what the message says (rule 6).
pub(crate) fn modern_headers<B: AsRef<[u8]>>(
    version: agentopia_mcp::ProtocolVersion,
    message: &Envelope<B>,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    headers::set_standard(&mut map, version, message);
    map
}

async fn send(
    core: &Core,
    client: &Client,
    route: &InstanceRoute,
    method: Method,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<http::Response<UpstreamBody>, UpstreamError> {
    if method == Method::POST {
        headers.insert(ACCEPT, BOTH);
        headers.insert(CONTENT_TYPE, JSON);
    } else if method == Method::GET {
        headers.insert(ACCEPT, EVENTS);
    }
    if let Ok(key) = HeaderValue::from_str(&client.isolation) {
        headers.insert(SESSION_KEY_HEADER, key);
    }
    if let Some(own) = &route.credentials {
        // Without it the request would go with the instance's own: better not at all.
        let text = format!("{} {}", own.link, own.revision);
        let value = HeaderValue::try_from(text).map_err(|_| UpstreamError::Unlinked)?;
        headers.insert(LINK_HEADER, value);
    }
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    let sending = core.connector.send(route, request);
    let answer = tokio::time::timeout(core.config.call_idle_timeout, sending);
    Ok(answer.await.map_err(|_| UpstreamError::Timeout)??)
}

fn reply(core: &Core, response: http::Response<UpstreamBody>) -> Result<Reply, UpstreamError> {
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let media_type = content_type
        .and_then(|text| text.split(';').next())
        .map(|text| text.trim().to_ascii_lowercase());
    // Where the length is told, an answer that is too long is refused while it still can be: the
    // client has nothing of it yet.
    let limit = core.config.max_upstream_message_bytes;
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(UpstreamError::TooLarge(limit));
    }
    match media_type.as_deref() {
        Some("application/json") => Ok(Reply::Json(status, response.into_body())),
        Some("text/event-stream") if status.is_success() => {
            Ok(Reply::Events(Box::new(EventReader::new(
                response.into_body(),
                core.config.max_upstream_message_bytes,
                core.config.call_idle_timeout,
            ))))
        }
        _ if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) => Ok(Reply::Accepted),
        _ if !status.is_success() => Err(UpstreamError::Status(status.as_u16())),
        _ => Err(UpstreamError::NotMcp("neither JSON nor an event stream")),
    }
}
