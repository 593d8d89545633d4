//! `GET /v1/instances/{id}/watch`: answers once the instance is no longer in the state that the
//! caller knows, or after 30 seconds.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::observed::{ObservedInstance, Phase};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::instances::path_id;
use super::problem::Refusal;

/// The longest wait.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
pub(super) struct Known {
    generation: i64,
    phase: Phase,
}

pub(super) async fn handle(
    State(api): State<Api>,
    id: Result<Path<InstanceId>, PathRejection>,
    known: Result<Query<Known>, QueryRejection>,
) -> Result<Json<ObservedInstance>, Refusal> {
    let id = path_id(id)?;
    let Query(known) = known.map_err(|error| {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text())
    })?;
    let shared = api.reconciler.shared();
    let mut changes = shared.board.changes();
    let other = async {
        loop {
            changes.mark_unchanged();
            match shared.board.get(id) {
                Some(now) if now.generation == known.generation && now.phase == known.phase => {}
                now => return now,
            }
            if changes.changed().await.is_err() {
                return shared.board.get(id);
            }
        }
    };
    let observed = tokio::select! {
        observed = other => observed,
        () = tokio::time::sleep(LIMIT) => shared.board.get(id),
        () = shared.shutdown.cancelled() => shared.board.get(id),
    };
    observed
        .map(Json)
        .ok_or_else(|| Refusal::unknown_instance(id))
}
