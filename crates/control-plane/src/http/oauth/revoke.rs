//! `POST /oauth/revoke`: a client signs itself out (RFC 7009).

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::answer;
use super::fields::Fields;
use crate::http::extract::PublicCall;
use crate::oauth::exchange;

pub(super) async fn handler(call: PublicCall, Fields(form): Fields) -> Response {
    match exchange::revoke(&call.state, &form).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => answer::refused(refused),
    }
}
