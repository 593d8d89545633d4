//! `DELETE /api/v1/grants/{id}`: shuts a program out.

use agentopia_api::Problem;
use agentopia_domain::GrantId;
use agentopia_domain::event::ObjectKind;
use http::StatusCode;

use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// Shuts a program out that was let in by browser login; its tokens open nothing from then on. It can
/// ask again, and somebody has to agree again.
#[utoipa::path(
    delete,
    path = "/api/v1/grants/{id}",
    operation_id = "revoke_grant",
    tag = "grants",
    security(("session" = []), ("token" = [])),
    params(("id" = GrantId, Path, description = "The grant")),
    responses(
        (status = 204, description = "Shut out, now or before"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<GrantId>) -> Answer<StatusCode> {
    let grants = call.store().grants();
    let grant = grants.get(call.account(), id).await?;
    let event = call
        .event(
            "grant.revoked",
            (ObjectKind::Grant, id),
            format!("shut {} out", grant.client.name),
        )
        .data(serde_json::json!({
            "agent_id": grant.audience.agent(),
            "instance_id": grant.audience.instance(),
            "client_id": grant.client.id,
        }));
    grants.revoke(call.account(), id, &[event]).await?;
    call.state.wake.routes();
    Ok(StatusCode::NO_CONTENT)
}
