//! What start, stop, restart, reconfigure and remove have in common: write the intent with its
//! event, wake the reconciler, answer with the record as it stands.

use agentopia_api::instance::Instance;
use agentopia_domain::InstanceId;
use agentopia_domain::event::ObjectKind;
use agentopia_store::InstanceIntent;
use axum::Json;
use http::StatusCode;

use super::{check, shown};
use crate::http::extract::Call;
use crate::problem::Answer;

pub(super) async fn intend(
    call: &Call,
    id: InstanceId,
    intent: InstanceIntent,
    kind: &'static str,
    message: &str,
) -> Answer<(StatusCode, Json<Instance>)> {
    let instances = call.store().instances();
    let name = instances.get(call.account(), id).await?.name;
    let object = (ObjectKind::Instance, id);
    let event = call.event(kind, object, format!("{name}: {message}"));
    let changed = instances
        .set_intent(call.account(), id, intent, check::fits, &[event])
        .await?;
    call.state.wake.instance(id);
    Ok((
        StatusCode::ACCEPTED,
        Json(shown::one(call, changed.value).await?),
    ))
}
