//! `PUT /v1/instances/{id}`: takes the whole desired state of an instance. Answers at once; the
//! reconciler does the rest.

use agentopia_domain::InstanceId;
use agentopia_domain::observed::ObservedInstance;
use agentopia_domain::spec::InstanceSpec;
use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use bytes::Bytes;
use http::StatusCode;

use super::Api;
use super::instances::path_id;
use super::problem::Refusal;
use super::validate::validate;
use crate::ledger::LedgerError;

pub(super) async fn handle(
    State(api): State<Api>,
    id: Result<Path<InstanceId>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<ObservedInstance>), Refusal> {
    let id = path_id(id)?;
    let spec = parse(body)?;
    let own = api.reconciler.shared().link.identity().environment_id;
    validate(&spec, id, own).map_err(|problem| {
        Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            problem.code,
            problem.detail,
        )
    })?;
    let observed = api.reconciler.put(spec).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(observed)))
}

fn parse(body: Result<Bytes, BytesRejection>) -> Result<InstanceSpec, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(status, "too_large", "a spec may have 1 MiB")
        }
        status => Refusal::new(status, "invalid_body", "the body could not be read"),
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_body",
            format!("the body is no instance spec of this contract: {error}"),
        )
    })
}

fn refused(error: LedgerError) -> Refusal {
    let detail = error.to_string();
    match error {
        LedgerError::Stale { .. } => Refusal::new(StatusCode::CONFLICT, "stale_generation", detail),
        LedgerError::Io { .. } => {
            tracing::error!(detail, "a spec was not taken");
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "ledger_failed", detail)
        }
    }
}
