//! How a bridge says no: RFC 9457 problems for what concerns the way to the server, JSON-RPC errors for
//! what concerns the message.

use agentopia_dtma_api::problem::Problem;
use agentopia_dtma_api::to_dtma::NOT_DELIVERED_HEADER;
use agentopia_mcp::{Id, RpcError};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::pipe::SendError;

/// A problem document.
#[must_use]
pub fn problem(status: StatusCode, code: &str, detail: impl Into<String>) -> Response {
    let problem = Problem {
        status: status.as_u16(),
        code: code.to_owned(),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        detail: detail.into(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = typed(status, "application/problem+json", body);
    if matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    ) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A problem document for a request that the tool did not get, and may get in a moment.
#[must_use]
pub fn not_delivered(status: StatusCode, code: &str, detail: impl Into<String>) -> Response {
    let mut response = problem(status, code, detail);
    response
        .headers_mut()
        .insert(NOT_DELIVERED_HEADER, HeaderValue::from_static("1"));
    response
}

/// A session that is not (or no longer) there: by the specification the client begins a new one.
#[must_use]
pub fn no_session() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "session_not_found",
        "this session does not exist or has ended: send initialize without Mcp-Session-Id",
    )
}

/// A JSON-RPC error, with an HTTP status.
#[must_use]
pub fn rpc(status: StatusCode, error: &RpcError, id: Option<&Id>) -> Response {
    typed(status, "application/json", error.to_message(id))
}

/// A request that could not be handed to the process: an answer like any other, so that the client
/// sees it at the call.
#[must_use]
pub fn send(error: &SendError, id: Option<&Id>) -> Response {
    typed(StatusCode::OK, "application/json", error.to_message(id))
}

/// A response with a body of a type.
#[must_use]
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
