//! Query parameters of a known type.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{Refusal, kind};
use crate::state::AppState;

/// The query string, parsed; unknown and wrong parameters are refused.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let said = text
                    .split_once(": ")
                    .map_or(text.as_str(), |(_, said)| said);
                Err(Refusal::new(
                    kind::INVALID_QUERY,
                    format!("the query parameters do not fit: {said}"),
                ))
            }
        }
    }
}
