//! `GET /v1/instances` and `GET /v1/instances/{id}`.

use agentopia_domain::InstanceId;
use agentopia_domain::observed::ObservedInstance;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;

use super::Api;
use super::problem::Refusal;

pub(super) async fn list(State(api): State<Api>) -> Json<Vec<ObservedInstance>> {
    Json(api.reconciler.shared().board.all())
}

pub(super) async fn get(
    State(api): State<Api>,
    id: Result<Path<InstanceId>, PathRejection>,
) -> Result<Json<ObservedInstance>, Refusal> {
    let id = path_id(id)?;
    let observed = api.reconciler.shared().board.get(id);
    observed
        .map(Json)
        .ok_or_else(|| Refusal::unknown_instance(id))
}

/// The id in the path.
pub(super) fn path_id(id: Result<Path<InstanceId>, PathRejection>) -> Result<InstanceId, Refusal> {
    match id {
        Ok(Path(id)) => Ok(id),
        Err(_) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_id",
            "the instance's id in the path is no UUID",
        )),
    }
}
