//! `POST /api/dtma/v1/heartbeat`

use std::collections::{HashMap, HashSet};

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::metrics::Usage;
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::versions::Slot;
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
    WithRejection(Json(mut beat), _): WithRejection<Json<Heartbeat>, Refusal>,
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
    let places = Places::of(&state, environment).await?;
    let reports = places.serving(&beat.instances);
    // First its tools: who sees that the machine was heard, sees what it said of them.
    let observed = state.store.instances();
    for changed in observed
        .record_observed_unscoped(environment, &reports)
        .await?
    {
        state.bells.instances.ring(changed.as_uuid());
    }
    let heard = state.store.environments();
    heard
        .record_heartbeat_unscoped(environment, &machine)
        .await?;
    state.bells.environments.ring(environment.as_uuid());

    for sample in &mut beat.samples {
        sample.instances = places.measured(std::mem::take(&mut sample.instances));
    }
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
        unknown_instances: places.unknown(&beat.instances),
        update: offer,
    }))
}

/// What the account has on the machine, by the ids that the machine knows: those of the places that serve
/// to the instances, and all that there may be besides.
struct Places {
    serving: HashMap<InstanceId, InstanceId>,
    others: HashSet<InstanceId>,
}

impl Places {
    async fn of(state: &ListenerState, environment: EnvironmentId) -> Result<Self, StoreError> {
        let instances = state.store.instances();
        let mut places = Self {
            serving: HashMap::new(),
            others: HashSet::new(),
        };
        for report in instances.on_environment_unscoped(environment).await? {
            let instance = report.instance;
            // What is removed ends in its first place.
            let slot = match instance.desired {
                DesiredInstance::Removed { .. } => Slot::First,
                _ => instance.versions.serving,
            };
            places
                .serving
                .insert(slot.on_machine(instance.id), instance.id);
            places.others.insert(slot.other().on_machine(instance.id));
        }
        Ok(places)
    }

    /// The reports of what serves, as those of the instances. Who asks for the other places asks the machine.
    fn serving(&self, reports: &[ObservedInstance]) -> Vec<ObservedInstance> {
        let of = |report: &ObservedInstance| {
            let instance_id = *self.serving.get(&report.instance_id)?;
            Some(ObservedInstance {
                instance_id,
                ..report.clone()
            })
        };
        reports.iter().filter_map(of).collect()
    }

    /// What serves, measured, as the instances.
    fn measured(&self, usage: Vec<(InstanceId, Usage)>) -> Vec<(InstanceId, Usage)> {
        let of = |(id, usage)| Some((*self.serving.get(&id)?, usage));
        usage.into_iter().filter_map(of).collect()
    }

    /// What the account no longer has there.
    fn unknown(&self, reports: &[ObservedInstance]) -> Vec<InstanceId> {
        let ids = reports
            .iter()
            .filter(|report| report.phase != Phase::Removed)
            .map(|report| report.instance_id);
        ids.filter(|id| !self.serving.contains_key(id) && !self.others.contains(id))
            .collect()
    }
}
