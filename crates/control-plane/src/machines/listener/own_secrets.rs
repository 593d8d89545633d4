//! `POST /api/dtma/v1/own-secrets` and `…/own-secrets/in-use`: the secrets that links carry in place of
//! their instances' own (AGT-6).

use agentopia_domain::EnvironmentId;
use agentopia_domain::event::{Actor, NewEvent, ObjectKind};
use agentopia_domain::instance::{DesiredInstance, Instance};
use agentopia_domain::link::Link;
use agentopia_domain::versions::twin;
use agentopia_dtma_api::to_control_plane::{OwnSecretsReply, OwnSecretsRequest, OwnSecretsUse};
use agentopia_store::{Store, StoreError};
use axum::Json;
use axum::extract::State;
use axum_extra::extract::WithRejection;
use http::StatusCode;
use serde_json::json;

use super::ListenerState;
use super::caller::Caller;
use super::refusal::Refusal;
use super::secrets::values;

/// More uses are asked about with the next request.
const MOST_USES: usize = 1_000;

/// Hands out the values that a link carries, to the machine that runs the link's instance, and writes
/// down that it did (SEC-3). They are those of now, also where the gateway that wants them named those
/// of a moment before: it names the new ones next, and nobody else gets what is started with these.
pub(super) async fn fetch(
    State(state): State<ListenerState>,
    caller: Caller,
    WithRejection(Json(request), _): WithRejection<Json<OwnSecretsRequest>, Refusal>,
) -> Result<Json<OwnSecretsReply>, Refusal> {
    let environment = caller.credential.environment_id;
    let (link, instance) = leads_here(&state.store, environment, &request)
        .await?
        .ok_or_else(Refusal::not_found)?;
    let own = link.secrets.iter();
    let own = own
        .map(|(name, secret)| (name.clone(), secret.id))
        .collect();
    let env = values(&state, link.account_id, &own).await?;
    let event = NewEvent::system(
        link.account_id,
        "secret.fetched",
        (ObjectKind::Link, link.id.as_uuid()),
        format!(
            "The machine fetched the secrets of a link to {} for a session.",
            instance.name
        ),
    )
    .by(Actor::Dtma(environment))
    .data(json!({
        "variables": env.keys().collect::<Vec<_>>(),
        "agent_id": link.agent_id,
        "instance_id": instance.id,
    }));
    state.store.events().append(&[event]).await?;
    Ok(Json(OwnSecretsReply { env }))
}

/// Says which uses of links' secrets are over.
pub(super) async fn over(
    State(state): State<ListenerState>,
    caller: Caller,
    WithRejection(Json(uses), _): WithRejection<Json<Vec<OwnSecretsUse>>, Refusal>,
) -> Result<Json<Vec<OwnSecretsUse>>, Refusal> {
    if uses.len() > MOST_USES {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "too_many_uses",
            "Too many uses",
            format!("ask about at most {MOST_USES} at once"),
        ));
    }
    let environment = caller.credential.environment_id;
    let mut over = Vec::new();
    for one in uses {
        let found = leads_here(&state.store, environment, &one).await?;
        let goes_on = found.is_some_and(|(link, _)| {
            link.credentials().as_deref() == Some(one.own.revision.as_str())
        });
        if !goes_on {
            over.push(one);
        }
    }
    Ok(Json(over))
}

/// The link and its instance, if the link is switched on, carries secrets and leads to an instance
/// that this machine is to run.
async fn leads_here(
    store: &Store,
    environment: EnvironmentId,
    wanted: &OwnSecretsUse,
) -> Result<Option<(Link, Instance)>, StoreError> {
    let link = match store.links().get_unscoped(wanted.own.link).await {
        Ok(link) => link,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let to = [link.instance_id, twin(link.instance_id)];
    if !link.enabled || link.secrets.is_empty() || !to.contains(&wanted.instance_id) {
        return Ok(None);
    }
    let instance = match store.instances().get_unscoped(link.instance_id).await {
        Ok(report) => report.instance,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let runs_here =
        instance.environment_id == environment && instance.desired == DesiredInstance::Running;
    Ok(runs_here.then_some((link, instance)))
}
