//! `POST /api/v1/orphans/{id}/remove`: an admin wants an orphan gone.

use agentopia_api::Problem;
use agentopia_api::orphan::{Orphan, RemoveOrphanRequest};
use agentopia_domain::OrphanId;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::orphan::OrphanReason;
use axum::Json;
use http::StatusCode;
use serde_json::json;

use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal};

/// Removes an orphan, whatever the policy is. What has our mark but not whose it is does not prove to
/// be this installation's: for that its name has to be repeated in `name`. Returns at once; it is in
/// the list until the provider itself says that it is gone, and `orphan.removed` in the timeline
/// then. Right before, it is looked at once more: what has found its environment stays.
#[utoipa::path(
    post,
    path = "/api/v1/orphans/{id}/remove",
    operation_id = "remove_orphan",
    tag = "orphans",
    security(("session" = []), ("token" = [])),
    params(("id" = OrphanId, Path, description = "The orphan")),
    request_body = RemoveOrphanRequest,
    responses(
        (status = 202, description = "It is to go", body = Orphan),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_input", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<OrphanId>,
    Body(request): Body<RemoveOrphanRequest>,
) -> Answer<(StatusCode, Json<Orphan>)> {
    let orphan = call.store().orphans().get(id).await?;
    let named = request.name.as_deref();
    if named.is_some_and(|name| name != orphan.name) {
        return Err(Refusal::field(
            "name",
            "this is not its name; look again with GET /api/v1/orphans",
        ));
    }
    if orphan.reason == OrphanReason::Unmarked && named.is_none() {
        return Err(Refusal::field(
            "name",
            "it has our mark, but not whose it is, and may be somebody's: look at it in the \
             provider's control panel, and repeat its name if it is to go",
        ));
    }
    let event = call
        .installation_event(
            "orphan.removal_requested",
            (ObjectKind::Orphan, id),
            format!("asked to remove {} ({})", orphan.provider_id, orphan.name),
        )
        .data(json!({
            "kind": orphan.kind,
            "provider_id": orphan.provider_id,
            "reason": orphan.reason,
        }));
    let orphans = call.store().orphans();
    let wanted = orphans.request_removal(id, &[event]).await?;
    Ok((StatusCode::ACCEPTED, Json(wanted.value.into())))
}
