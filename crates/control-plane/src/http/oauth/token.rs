//! `POST /oauth/token`: tokens for a code or a refresh token.

use axum::response::Response;
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::answer;
use super::fields::Fields;
use crate::http::extract::PublicCall;
use crate::oauth::{ACCESS_LIFE, exchange, scope};

pub(super) async fn handler(call: PublicCall, Fields(form): Fields) -> Response {
    match exchange::tokens(&call.state, &form).await {
        Ok(issued) => answer::secret(
            StatusCode::OK,
            json!({
                "access_token": issued.access.expose_secret(),
                "token_type": "Bearer",
                "expires_in": ACCESS_LIFE.num_seconds(),
                "refresh_token": issued.refresh.expose_secret(),
                "scope": scope::MCP,
            }),
        ),
        Err(refused) => answer::refused(refused),
    }
}
