//! `POST /api/dtma/v1/heartbeat`

use std::collections::HashSet;

use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::{EnvironmentId, InstanceId};
use agentopia_dtma_api::to_control_plane::{Heartbeat, HeartbeatReply, MAX_SAMPLES};
use agentopia_store::{MachineHeartbeat, StoreError};
use axum::Json;
use axum::extract::State;
use axum_extra::extract::WithRejection;
use http::StatusCode;

use super::caller::Caller;
use super::refusal::Refusal;
use super::{Downloads, ListenerState, update};

/// How often machines are to be heard.
const INTERVAL_SECONDS: u32 = 5;

/// Takes in what a machine says of itself, its instances and their use.
pub(super) async fn heartbeat(
    State(state): State<ListenerState>,
    caller: Caller,
    WithRejection(Json(beat), _): WithRejection<Json<Heartbeat>, Refusal>,
) -> Result<Json<HeartbeatReply>, Refusal> {
    if beat.samples.len() > MAX_SAMPLES {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too_many_samples",
            "Too many samples",
            format!("send at most {MAX_SAMPLES} samples at once"),
        ));
    }
    let environment = caller.credential.environment_id;
    if let Some(report) = &beat.update {
        update::record(&state.store, &caller.credential, report).await?;
    }
    let offer = state.offer.as_ref().and_then(Downloads::offer);
    let offer = update::offer_to(&beat.machine, offer.as_ref());
    let machine = MachineHeartbeat {
        dtma_version: beat.machine.dtma_version,
        capacity: beat.machine.capacity,
        runtime: beat.machine.runtime,
        ip_address: Some(caller.peer.address.ip().to_canonical()),
        dtma_port: Some(beat.machine.port),
    };
    // First its tools: who sees that the machine was heard, sees what it said of them.
    let observed = state.store.instances();
    for changed in observed
        .record_observed_unscoped(environment, &beat.instances)
        .await?
    {
        state.bells.instances.ring(changed.as_uuid());
    }
    let heard = state.store.environments();
    heard
        .record_heartbeat_unscoped(environment, &machine)
        .await?;
    state.bells.environments.ring(environment.as_uuid());
    let stored_up_to = beat.samples.last().map(|sample| sample.sequence);
    if !beat.samples.is_empty() {
        let boot = &beat.machine.boot_id;
        state
            .store
            .metrics()
            .insert_unscoped(environment, boot, &beat.samples)
            .await?;
    }
    Ok(Json(HeartbeatReply {
        stored_up_to,
        interval_seconds: INTERVAL_SECONDS,
        unknown_instances: unknown(&state, environment, &beat.instances).await?,
        update: offer,
    }))
}

/// Instances on the machine that the account no longer has there.
async fn unknown(
    state: &ListenerState,
    environment: EnvironmentId,
    reported: &[ObservedInstance],
) -> Result<Vec<InstanceId>, StoreError> {
    let known: HashSet<InstanceId> = state
        .store
        .instances()
        .on_environment_unscoped(environment)
        .await?
        .into_iter()
        .map(|report| report.instance.id)
        .collect();
    Ok(reported
        .iter()
        .filter(|report| report.phase != Phase::Removed && !known.contains(&report.instance_id))
        .map(|report| report.instance_id)
        .collect())
}
