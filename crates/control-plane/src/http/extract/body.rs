//! A JSON body of a known type.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::problem::{Refusal, kind};
use crate::state::AppState;

/// The body, parsed. Unknown fields, wrong types, syntax errors, other media types and oversize
/// are refused before the handler runs.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let limit = state.config.body_limit_bytes;
        // The framework's extractor knows media types and limits; what comes out is raw, because
        // serde would take an array for an object, field by field.
        let raw = match Json::<Box<RawValue>>::from_request(request, state).await {
            Ok(Json(raw)) => raw,
            Err(rejection) => return Err(refuse(&rejection, limit)),
        };
        if !raw.get().starts_with('{') {
            return Err(Refusal::new(
                kind::INVALID_INPUT,
                "the body does not fit: it must be a JSON object",
            ));
        }
        match Json::<T>::from_bytes(raw.get().as_bytes()) {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refuse(&rejection, limit)),
        }
    }
}

/// A body that may be absent: then it is the type's default. For operations whose every field is
/// optional. Nothing is nothing whatever the headers call it: many clients name a media type always.
impl<T: DeserializeOwned + Default> axum::extract::OptionalFromRequest<AppState> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Option<Self>, Refusal> {
        // Its length may be unknown before its end: a chunked body can be empty too.
        let (parts, body) = request.into_parts();
        let reading = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(reading, state)
            .await
            .map_err(|rejection| unreadable(rejection.status(), state.config.body_limit_bytes))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let request = Request::from_parts(parts, bytes.into());
        <Self as FromRequest<AppState>>::from_request(request, state)
            .await
            .map(Some)
    }
}

fn refuse(rejection: &JsonRejection, limit: usize) -> Refusal {
    let text = rejection.body_text();
    // What serde says comes after our framework's own sentence.
    let said = text
        .split_once(": ")
        .map_or(text.as_str(), |(_, said)| said);
    match rejection {
        JsonRejection::JsonDataError(_) => Refusal::new(
            kind::INVALID_INPUT,
            format!("the body does not fit: {said}"),
        ),
        JsonRejection::JsonSyntaxError(_) => Refusal::new(
            kind::INVALID_JSON,
            format!("the body can't be read: {said}"),
        ),
        JsonRejection::MissingJsonContentType(_) => Refusal::new(
            kind::UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON, with the header `Content-Type: application/json`",
        ),
        _ => unreadable(rejection.status(), limit),
    }
}

/// The body did not come whole.
fn unreadable(status: StatusCode, limit: usize) -> Refusal {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            kind::TOO_LARGE,
            format!("the body is larger than the {limit} bytes that are allowed"),
        ),
        _ => Refusal::new(kind::INVALID_JSON, "the body could not be read to its end"),
    }
}
