//! `POST /api/v1/instances/{id}/rollback`.

use agentopia_api::Problem;
use agentopia_api::instance::Instance;
use agentopia_api::version::RollbackRequest;
use agentopia_domain::InstanceId;
use agentopia_domain::versions::ChangeKind;
use axum::Json;
use http::StatusCode;

use super::{change, may_change};
use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal, kind};

/// Brings an instance back to the version before, in the same way as to a new one: no call is lost, and what it
/// runs now is kept in turn.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/rollback",
    operation_id = "rollback_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    request_body = RollbackRequest,
    responses(
        (status = 202, description = "Wanted", body = Instance),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state, does_not_fit", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_input, unknown_version", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in super::super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Body(request): Body<RollbackRequest>,
) -> Answer<(StatusCode, Json<Instance>)> {
    let instance = call.store().instances().get(call.account(), id).await?;
    may_change(&instance)?;
    let Some(kept) = instance.versions.kept.clone() else {
        return Err(Refusal::new(
            kind::WRONG_STATE,
            "no version before this one is kept: it was never upgraded",
        ));
    };
    let entry = call
        .store()
        .catalog()
        .get(instance.catalog_entry_id)
        .await?;
    if entry.definition.version(&kept.version).is_none() {
        return Err(Refusal::new(
            kind::UNKNOWN_VERSION,
            format!(
                "`{}` has no version {} any more; have it added again, or upgrade to another one",
                entry.definition.slug, kept.version
            ),
        ));
    }
    change(
        &call,
        instance,
        ChangeKind::Rollback,
        kept,
        &request.options,
    )
    .await
}
