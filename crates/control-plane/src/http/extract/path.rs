//! Ids and names in the path. An id that is no id can't be anybody's: the answer is the same 404
//! as for an unknown one.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::problem::Refusal;
use crate::state::AppState;

/// One id.
#[derive(Debug)]
pub struct PathId<T>(pub T);

/// Two ids, in the order of the path.
#[derive(Debug)]
pub struct PathIds<A, B>(pub A, pub B);

/// One name, percent-decoded.
#[derive(Debug)]
pub struct PathText(pub String);

/// Two names, percent-decoded, in the order of the path.
#[derive(Debug)]
pub struct PathTexts(pub String, pub String);

impl<T: FromStr> FromRequestParts<AppState> for PathId<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        parse(&text).map(Self)
    }
}

impl<A: FromStr, B: FromStr> FromRequestParts<AppState> for PathIds<A, B> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let Path((a, b)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| Refusal::not_found("thing"))?;
        Ok(Self(parse(&a)?, parse(&b)?))
    }
}

impl FromRequestParts<AppState> for PathText {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(text)| Self(text))
            .map_err(|_| Refusal::not_found("thing"))
    }
}

impl FromRequestParts<AppState> for PathTexts {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map(|Path((a, b))| Self(a, b))
            .map_err(|_| Refusal::not_found("thing"))
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("thing"))
}
