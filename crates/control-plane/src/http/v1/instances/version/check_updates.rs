//! `GET /api/v1/instances/{id}/updates`: whether there is a newer version.

use agentopia_api::Problem;
use agentopia_api::version::Updates;
use agentopia_domain::InstanceId;
use agentopia_domain::versions::Release;
use axum::Json;

use super::target::Target;
use crate::http::extract::{Call, PathId};
use crate::problem::{Answer, Refusal, kind};

/// Whether the catalog has another default version than the instance runs, or its tag names another image by
/// now. The registry is asked anonymously.
#[utoipa::path(
    get,
    path = "/api/v1/instances/{id}/updates",
    operation_id = "instance_updates",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 200, description = "What there is", body = Updates),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in super::super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
) -> Answer<Json<Updates>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    if instance.remote.is_some() {
        return Err(Refusal::new(
            kind::WRONG_STATE,
            "a remote server is brought to other versions by whoever runs it",
        ));
    }
    let entry = call
        .store()
        .catalog()
        .get(instance.catalog_entry_id)
        .await?;
    let definition = &entry.definition;
    let target = match definition.version(&definition.default_version) {
        Some(version) => Some(Target::now(&call, definition, version).await),
        None => None,
    };
    let problem = target.as_ref().and_then(|target| target.problem.clone());
    let newer = target.filter(|target| target.is_newer_for(&instance));
    Ok(Json(Updates {
        current: Release {
            version: instance.version,
            digest: instance.versions.digest,
        },
        newer: newer.map(|target| target.release),
        versions: definition
            .versions
            .iter()
            .map(|version| version.version.clone())
            .collect(),
        problem,
    }))
}
