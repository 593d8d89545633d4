//! `POST /api/dtma/v1/credentials/renew`

use agentopia_dtma_api::to_control_plane::{Credentials, RenewRequest};
use axum::Json;
use axum::extract::State;
use axum_extra::extract::WithRejection;

use super::ListenerState;
use super::caller::Token;
use super::refusal::Refusal;

/// Renews credentials; the request is signed by the key of the ones before. The bearer token
/// alone is shown: the certificate may have expired while the machine was away.
pub(super) async fn renew(
    State(state): State<ListenerState>,
    Token(token): Token,
    WithRejection(Json(request), _): WithRejection<Json<RenewRequest>, Refusal>,
) -> Result<Json<Credentials>, Refusal> {
    Ok(Json(state.issuer().renew(&request, &token).await?))
}
