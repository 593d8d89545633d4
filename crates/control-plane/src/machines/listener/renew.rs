//! `POST /api/dtma/v1/credentials/renew`

use agentopia_dtma_api::to_control_plane::{Credentials, RenewRequest};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum_extra::extract::WithRejection;
use http::request::Parts;
use secrecy::SecretString;

use super::ListenerState;
use super::caller::bearer;
use super::refusal::Refusal;

/// The bearer token alone: the certificate may have expired while the machine was away.
pub(super) struct Token(SecretString);

impl FromRequestParts<ListenerState> for Token {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ListenerState,
    ) -> Result<Self, Self::Rejection> {
        bearer(parts, state).await.map(Self)
    }
}

/// Renews credentials; the request is signed by the key of the ones before.
pub(super) async fn renew(
    State(state): State<ListenerState>,
    Token(token): Token,
    WithRejection(Json(request), _): WithRejection<Json<RenewRequest>, Refusal>,
) -> Result<Json<Credentials>, Refusal> {
    Ok(Json(state.issuer().renew(&request, &token).await?))
}
