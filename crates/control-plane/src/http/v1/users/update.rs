//! `PATCH /api/v1/users/{id}`: shuts a user out or lets them in again.

use agentopia_api::Problem;
use agentopia_api::user::{UpdateUserRequest, User};
use agentopia_domain::UserId;
use agentopia_domain::event::ObjectKind;
use axum::Json;

use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal, kind};

/// Shuts a user out, which ends their sessions and stops their tokens at once, or lets them in
/// again.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    operation_id = "update_user",
    tag = "users",
    security(("session" = []), ("token" = [])),
    params(("id" = UserId, Path, description = "The user")),
    request_body = UpdateUserRequest,
    responses(
        (status = 200, description = "Changed", body = User),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "own_account", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<UserId>,
    Body(request): Body<UpdateUserRequest>,
) -> Answer<Json<User>> {
    if id == call.caller.user.id && request.disabled {
        return Err(Refusal::new(
            kind::OWN_ACCOUNT,
            "ask another admin to disable your account",
        ));
    }
    let (kind, message) = if request.disabled {
        ("user.disabled", "shut a user out")
    } else {
        ("user.enabled", "let a user in again")
    };
    let event = call.installation_event(kind, (ObjectKind::User, id), message);
    let user = call
        .store()
        .users()
        .set_disabled(id, request.disabled, &[event])
        .await?;
    // The tokens of their agents are good or bad with them.
    call.state.wake.routes();
    Ok(Json(user.into()))
}
