//! Answers for programs, in the form of RFC 6749.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::oauth::exchange::Refused;
use crate::problem::Refusal;

/// A document that nobody may keep.
pub(super) fn secret(status: StatusCode, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// An error.
pub(super) fn error(status: StatusCode, name: &str, description: &str) -> Response {
    secret(
        status,
        json!({"error": name, "error_description": description}),
    )
}

/// Why there are no tokens.
pub(super) fn refused(refused: Refused) -> Response {
    match refused {
        Refused::Client(name, description) => error(StatusCode::BAD_REQUEST, name, description),
        // A problem document: clients see that it is not about them.
        Refused::Store(store) => Refusal::from(store).into_response(),
    }
}
