//! Droplets as they really are, and what befalls them from elsewhere.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::AdminError;
use crate::simulator::Simulator;
use crate::state::{DropletId, DropletView};

pub(super) async fn list(State(simulator): State<Simulator>) -> Json<Vec<DropletView>> {
    Json(simulator.droplets().await)
}

pub(super) async fn destroy(
    State(simulator): State<Simulator>,
    Path(droplet): Path<u64>,
) -> Result<StatusCode, AdminError> {
    done(simulator.destroy(DropletId(droplet)).await)
}

pub(super) async fn lock(
    State(simulator): State<Simulator>,
    Path(droplet): Path<u64>,
) -> Result<StatusCode, AdminError> {
    done(simulator.set_locked(DropletId(droplet), true).await)
}

pub(super) async fn unlock(
    State(simulator): State<Simulator>,
    Path(droplet): Path<u64>,
) -> Result<StatusCode, AdminError> {
    done(simulator.set_locked(DropletId(droplet), false).await)
}

pub(super) async fn stop(
    State(simulator): State<Simulator>,
    Path(droplet): Path<u64>,
) -> Result<StatusCode, AdminError> {
    done(simulator.stop_from_inside(DropletId(droplet)).await)
}

fn done(existed: bool) -> Result<StatusCode, AdminError> {
    if existed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(AdminError::no_droplet())
    }
}
