//! What goes wrong.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;

use super::{AdminError, parse};
use crate::faults::FaultPlan;
use crate::simulator::Simulator;

pub(super) async fn show(State(simulator): State<Simulator>) -> Json<FaultPlan> {
    Json(simulator.faults())
}

pub(super) async fn replace(
    State(simulator): State<Simulator>,
    body: Bytes,
) -> Result<Json<FaultPlan>, AdminError> {
    simulator.set_faults(parse(&body)?);
    Ok(Json(simulator.faults()))
}

pub(super) async fn clear(State(simulator): State<Simulator>) -> StatusCode {
    simulator.set_faults(FaultPlan::default());
    StatusCode::NO_CONTENT
}

pub(super) async fn add_request(
    State(simulator): State<Simulator>,
    body: Bytes,
) -> Result<Json<FaultPlan>, AdminError> {
    simulator.add_request_fault(parse(&body)?);
    Ok(Json(simulator.faults()))
}

pub(super) async fn add_resource(
    State(simulator): State<Simulator>,
    body: Bytes,
) -> Result<Json<FaultPlan>, AdminError> {
    simulator.add_resource_fault(parse(&body)?);
    Ok(Json(simulator.faults()))
}
