//! `POST /api/v1/instances/{id}/upgrade`.

use agentopia_api::Problem;
use agentopia_api::instance::Instance;
use agentopia_api::version::UpgradeRequest;
use agentopia_domain::InstanceId;
use agentopia_domain::versions::ChangeKind;
use axum::Json;
use http::StatusCode;

use super::super::check;
use super::target::Target;
use super::{change, may_change};
use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal, kind};

/// Brings an instance to another version. The new one is started beside the old one; calls go there once it
/// answers and offers the tools that agents use, and the old one is kept, stopped, for a roll-back. If it is not
/// ready in time, nothing changes. Returns at once; watch the instance's `change` and the timeline.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/upgrade",
    operation_id = "upgrade_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    request_body = UpgradeRequest,
    responses(
        (status = 202, description = "Wanted", body = Instance),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state, does_not_fit", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_input, unknown_version, archived", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in super::super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Body(request): Body<UpgradeRequest>,
) -> Answer<(StatusCode, Json<Instance>)> {
    let instance = call.store().instances().get(call.account(), id).await?;
    may_change(&instance)?;
    let entry = call
        .store()
        .catalog()
        .get(instance.catalog_entry_id)
        .await?;
    let definition = &entry.definition;
    let version = check::version(definition, request.version.as_deref())?;
    let target = Target::now(&call, definition, version).await;
    if !target.is_newer_for(&instance) {
        let unsure = match target.problem {
            Some(problem) => {
                format!("; whether its image is another by now is not known, {problem}")
            }
            None => String::new(),
        };
        return Err(Refusal::new(
            kind::WRONG_STATE,
            format!("it is {} already{unsure}", instance.version),
        ));
    }
    let options = &request.options;
    change(
        &call,
        instance,
        ChangeKind::Upgrade,
        target.release,
        options,
    )
    .await
}
