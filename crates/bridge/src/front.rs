//! The steps of Streamable HTTP that every session behind a pipe has: reading a message, `initialize`,
//! messages within the session, its stream, and the refusal of everything else.

#![expect(
    clippy::result_large_err,
    reason = "the error is the response itself, moved once on its way out"
)]

use std::sync::Arc;

use agentopia_mcp::{Envelope, ErrorCode, Kind, Limits, RpcError, method};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::pipe::{PROCESS_GONE, Pipe, SendError};
use crate::routes::Delivery;
use crate::{answer, refusal};

/// Names a session.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// Reads a request's body, within the limit.
///
/// # Errors
/// It is too large or broke off.
pub async fn collect(limits: &Limits, body: Body) -> Result<Bytes, Response> {
    match Limited::new(body, limits.max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(refusal::problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "message_too_large",
            format!("a message may have {} bytes at most", limits.max_bytes),
        )),
        Err(_) => Err(refusal::problem(
            StatusCode::BAD_REQUEST,
            "incomplete_body",
            "the request's body broke off",
        )),
    }
}

/// The message in a body.
///
/// # Errors
/// It is none.
pub fn message(limits: &Limits, body: Bytes) -> Result<Envelope<Bytes>, Response> {
    Envelope::scan(body, limits)
        .map_err(|error| refusal::rpc(StatusCode::BAD_REQUEST, &RpcError::from(&error), None))
}

/// Whether it is the request that begins a session.
#[must_use]
pub fn is_initialize(message: &Envelope<Bytes>) -> bool {
    message.kind() == Kind::Request && message.method() == method::INITIALIZE
}

/// The answer to the first message of a session; `Err` if the server refused, and the session is to go.
///
/// # Errors
/// The refusal.
pub async fn begin(
    pipe: &Arc<Pipe>,
    client: u64,
    message: &Envelope<Bytes>,
) -> Result<Response, Response> {
    let id = message.id();
    let sent = pipe.request(client, message).await;
    let mut call = sent.map_err(|error| refusal::send(&error, id.as_ref()))?;
    loop {
        match call.next().await {
            // Log messages before the answer: nobody can be related to them yet.
            Some(Delivery::Message(_)) => {}
            Some(Delivery::Last(answer)) => {
                let refused = Envelope::scan(&answer[..], &Limits::default())
                    .is_ok_and(|answer| answer.kind() == Kind::ErrorResponse);
                let response = answer::json(answer);
                return if refused { Err(response) } else { Ok(response) };
            }
            Some(Delivery::Undelivered) | None => {
                let error = RpcError::new(PROCESS_GONE, "the tool is gone");
                return Err(refusal::rpc(StatusCode::OK, &error, id.as_ref()));
            }
        }
    }
}

/// A message within a session.
pub async fn take(pipe: &Arc<Pipe>, client: u64, message: &Envelope<Bytes>) -> Response {
    let Some(id) = message.id().filter(|_| message.kind() == Kind::Request) else {
        return match pipe.notify(client, message).await {
            Ok(()) => accepted(),
            Err(SendError::Gone(_)) => refusal::no_session(),
            Err(error) => refusal::problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "tool_stuck",
                error.to_string(),
            ),
        };
    };
    match pipe.request(client, message).await {
        Ok(call) => answer::to_call(call, &id).await,
        Err(SendError::Gone(_)) => refusal::no_session(),
        Err(error) => refusal::send(&error, Some(&id)),
    }
}

/// The stream of a session on which the server speaks outside of requests.
#[must_use]
pub fn listen(pipe: &Arc<Pipe>, client: u64) -> Response {
    match pipe.listen(client) {
        Some(listening) => answer::listening(listening),
        None => refusal::problem(
            StatusCode::CONFLICT,
            "stream_open",
            "this session has a stream open already: close it first",
        ),
    }
}

/// An answer without a word.
#[must_use]
pub fn accepted() -> Response {
    empty(StatusCode::ACCEPTED)
}

/// A session was closed.
#[must_use]
pub fn closed() -> Response {
    empty(StatusCode::NO_CONTENT)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Neither a message, nor something that concerns a session.
#[must_use]
pub fn not_allowed() -> Response {
    let mut response = refusal::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "POST messages; GET and DELETE need the Mcp-Session-Id of a session",
    );
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// A message that needs a session and names none.
#[must_use]
pub fn needs_session(message: &Envelope<Bytes>) -> Response {
    refusal::rpc(
        StatusCode::BAD_REQUEST,
        &RpcError::new(
            ErrorCode::INVALID_REQUEST,
            "no session: send initialize first, then its Mcp-Session-Id with every message",
        ),
        message.id().as_ref(),
    )
}

/// Tells a client the name of its session.
pub fn name_session(response: &mut Response, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(SESSION_ID, value);
    }
}
