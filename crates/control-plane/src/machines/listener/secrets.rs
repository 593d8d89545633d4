//! `POST /api/dtma/v1/instances/{id}/secrets`

use std::collections::BTreeMap;

use agentopia_domain::event::{Actor, NewEvent, ObjectKind};
use agentopia_domain::instance::{DesiredInstance, Instance};
use agentopia_domain::versions::twin;
use agentopia_domain::{AccountId, InstanceId, SecretId};
use agentopia_dtma_api::to_control_plane::{RegistryLogin, SecretsReply, SecretsRequest};
use agentopia_store::{Store, StoreError};
use agentopia_vault::Context;
use axum::Json;
use axum::extract::{Path, State};
use axum_extra::extract::WithRejection;
use secrecy::SecretString;
use serde_json::json;

use super::ListenerState;
use super::caller::Caller;
use super::refusal::Refusal;

/// Hands out the values of one instance, to the machine that is to run it, and writes down that it
/// did (SEC-3).
pub(super) async fn secrets(
    State(state): State<ListenerState>,
    caller: Caller,
    Path(id): Path<InstanceId>,
    WithRejection(Json(request), _): WithRejection<Json<SecretsRequest>, Refusal>,
) -> Result<Json<SecretsReply>, Refusal> {
    let instance = in_place(&state.store, id).await?;
    let environment = caller.credential.environment_id;
    if instance.environment_id != environment || instance.desired != DesiredInstance::Running {
        return Err(Refusal::not_found());
    }
    let env = values(&state, instance.account_id, &instance.secrets).await?;
    let registry = match &request.registry {
        Some(host) => login(&state, &instance, host).await?,
        None => None,
    };
    let names: Vec<&String> = env.keys().collect();
    if !names.is_empty() || registry.is_some() {
        let event = NewEvent::system(
            instance.account_id,
            "secret.fetched",
            (ObjectKind::Instance, instance.id.as_uuid()),
            format!(
                "The machine fetched the secrets of {} for a start.",
                instance.name
            ),
        )
        .by(Actor::Dtma(environment))
        .data(json!({
            "variables": names,
            "registry": registry.is_some().then_some(&request.registry),
            "generation": request.generation,
        }));
        state.store.events().append(&[event]).await?;
    }
    Ok(Json(SecretsReply { env, registry }))
}

/// The instance that has this id on its machine: its own, or that of its second place.
pub(super) async fn in_place(
    store: &Store,
    on_machine: InstanceId,
) -> Result<Instance, StoreError> {
    let instances = store.instances();
    match instances.get_unscoped(on_machine).await {
        Err(StoreError::NotFound { .. }) => instances.get_unscoped(twin(on_machine)).await,
        found => found,
    }
    .map(|report| report.instance)
}

/// The values of an account's secrets, by the variables that they are for.
pub(super) async fn values(
    state: &ListenerState,
    account_id: AccountId,
    secrets: &BTreeMap<String, SecretId>,
) -> Result<BTreeMap<String, SecretString>, Refusal> {
    let ids: Vec<_> = secrets.values().copied().collect();
    let sealed = state.store.secrets().sealed(account_id, &ids).await?;
    let mut env = BTreeMap::new();
    for (name, id) in secrets {
        let found = sealed.iter().find(|sealed| sealed.record.id == *id);
        let found = found.ok_or_else(Refusal::not_found)?;
        let context = Context::Secret {
            account_id,
            secret_id: found.record.id,
            revision: found.record.revision,
        };
        env.insert(
            name.clone(),
            state.vault.open_text(&context, &found.ciphertext).await?,
        );
    }
    Ok(env)
}

async fn login(
    state: &ListenerState,
    instance: &Instance,
    host: &str,
) -> Result<Option<RegistryLogin>, Refusal> {
    let logins = state.store.registry_logins();
    let Some(login) = logins.for_pull(instance.account_id, host).await? else {
        return Ok(None);
    };
    let context = Context::RegistryLogin {
        account_id: login.account_id,
        id: login.id,
    };
    let password = state.vault.open_text(&context, &login.ciphertext).await?;
    Ok(Some(RegistryLogin {
        username: login.username,
        password,
    }))
}
