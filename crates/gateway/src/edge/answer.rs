//! HTTP answers.

use agentopia_mcp::{Era, Id, RpcError};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// One message.
pub(crate) fn json(status: StatusCode, message: impl Into<Bytes>) -> Response {
    json_body(status, Body::from(message.into()))
}

/// One message that is still coming in.
pub(crate) fn json_body(status: StatusCode, body: Body) -> Response {
    let mut response = response(status, body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An error with the status that it travels with in an era.
pub(crate) fn error(era: Era, error: &RpcError, id: Option<&Id>) -> Response {
    json(error.code.http_status(era), error.to_message(id))
}

/// An error that is always 400.
pub(crate) fn refusal(error: &RpcError, id: Option<&Id>) -> Response {
    json(StatusCode::BAD_REQUEST, error.to_message(id))
}

/// An error with any status.
pub(crate) fn problem(status: StatusCode, error: &RpcError) -> Response {
    json(status, error.to_message(None))
}

/// A refusal on the level of HTTP, with a sentence that says what to do.
pub(crate) fn refused(status: StatusCode, sentence: &str) -> Response {
    problem(
        status,
        &RpcError::new(agentopia_mcp::ErrorCode::INVALID_REQUEST, sentence),
    )
}

/// 202.
pub(crate) fn accepted() -> Response {
    response(StatusCode::ACCEPTED, Body::empty())
}

/// 204.
pub(crate) fn no_content() -> Response {
    response(StatusCode::NO_CONTENT, Body::empty())
}

/// 405.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = refused(
        StatusCode::METHOD_NOT_ALLOWED,
        "this HTTP method is not served here",
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 401, also for a token that is no longer good; `metadata` is where to learn how to get one.
pub(crate) fn unauthorised(had_token: bool, metadata: Option<&str>) -> Response {
    let sentence = "send `Authorization: Bearer` with a token that is valid for this endpoint";
    let mut response = refused(StatusCode::UNAUTHORIZED, sentence);
    let mut challenge = "Bearer realm=\"agentopia\"".to_owned();
    if had_token {
        challenge.push_str(", error=\"invalid_token\"");
    }
    if let Some(url) = metadata {
        challenge.push_str(", resource_metadata=\"");
        challenge.push_str(url);
        challenge.push_str("\", scope=\"mcp\"");
    }
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// 500: our own mistake.
pub(crate) fn broken() -> Response {
    let error = RpcError::internal("the gateway made a mistake; its log says which");
    problem(StatusCode::INTERNAL_SERVER_ERROR, &error)
}

/// 404 for what is not there and for what belongs to somebody else.
pub(crate) fn unknown_endpoint() -> Response {
    refused(
        StatusCode::NOT_FOUND,
        "there is no such endpoint for this token",
    )
}

/// 429: the same call may pass after so many seconds.
pub(crate) fn too_many(error: &RpcError, id: &Id, seconds: u64) -> Response {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, error.to_message(Some(id)));
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// An event stream.
pub(crate) fn events(body: Body) -> Response {
    let mut response = response(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    // Else nginx would hold events back.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// An event stream that ends at once: the answer to a request that its client cancelled.
pub(crate) fn empty_events() -> Response {
    events(Body::empty())
}
