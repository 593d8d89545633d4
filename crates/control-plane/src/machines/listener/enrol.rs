//! `POST /api/dtma/v1/enrol`

use agentopia_dtma_api::to_control_plane::{Credentials, EnrolRequest};
use axum::Json;
use axum::extract::State;
use axum_extra::extract::WithRejection;

use super::ListenerState;
use super::refusal::Refusal;

/// Redeems a one-time token. Where the machine is, is learned with its first heartbeat.
pub(super) async fn enrol(
    State(state): State<ListenerState>,
    WithRejection(Json(request), _): WithRejection<Json<EnrolRequest>, Refusal>,
) -> Result<Json<Credentials>, Refusal> {
    Ok(Json(state.issuer().enrol(&request).await?))
}
