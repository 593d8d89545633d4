//! How the data path says no: as every bridge does, and what the runtime's failures look like.

pub(super) use agentopia_bridge::refusal::{not_delivered, problem};
use axum::http::StatusCode;
use axum::response::Response;

use crate::runtime::{ErrorCode, RuntimeError};

/// A failure of the runtime.
pub(super) fn runtime(error: &RuntimeError) -> Response {
    let detail = &error.message;
    match error.code {
        code @ (ErrorCode::NotRunning | ErrorCode::EngineUnreachable) => {
            not_delivered(StatusCode::SERVICE_UNAVAILABLE, code.as_str(), detail)
        }
        code @ ErrorCode::SpawnFailed => {
            problem(StatusCode::SERVICE_UNAVAILABLE, code.as_str(), detail)
        }
        code => problem(StatusCode::BAD_GATEWAY, code.as_str(), detail),
    }
}
