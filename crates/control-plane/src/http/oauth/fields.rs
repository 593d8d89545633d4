//! The fields of a posted form.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};

use crate::oauth::request::Asked;
use crate::problem::{Refusal, kind};
use crate::state::AppState;

/// What a form posted. Of no other media type: pages of other origins can send those unasked.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Asked);

impl FromRequest<AppState> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        if !is_form(request.headers()) {
            return Err(Refusal::new(
                kind::UNSUPPORTED_MEDIA_TYPE,
                "send the parameters as application/x-www-form-urlencoded",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Refusal::new(kind::TOO_LARGE, "the form is too large or broke off"))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Refusal::new(kind::INVALID_QUERY, "the form is no UTF-8"))?;
        Ok(Self(Asked::read(text)))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let essence = value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
