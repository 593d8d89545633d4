//! `POST /api/v1/password`: changes one's own password.

use agentopia_api::Problem;
use agentopia_api::auth::{ChangePasswordRequest, Session};
use agentopia_domain::event::ObjectKind;
use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};

use crate::auth::{password, session, throttle};
use crate::http::extract::{Body, Call};
use crate::problem::{Answer, Refusal, kind};

/// Changes one's own password. Every session ends, as does every login of an MCP client that was allowed
/// in one, and a new session begins for the caller. Personal tokens stay good.
#[utoipa::path(
    post,
    path = "/api/v1/password",
    operation_id = "change_password",
    tag = "session",
    security(("session" = [])),
    request_body = ChangePasswordRequest,
    responses(
        (status = 200, description = "Changed; the new session", body = Session),
        (status = 401, description = "wrong_credentials", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    headers: HeaderMap,
    Body(request): Body<ChangePasswordRequest>,
) -> Answer<impl IntoResponse> {
    let state = &call.state;
    let user = &call.caller.user;
    password::check_new("new_password", &request.new_password)?;
    throttle::sign_in(state, &user.email, call.meta.source_ip).await?;
    let stored = state.store.users().credentials(user.id).await?;
    let (seen, stored) = match stored {
        Some(found) => (found.user.updated_at, found.password_hash),
        None => (user.updated_at, None),
    };
    if !state
        .passwords
        .verify(request.current_password, stored)
        .await?
    {
        return Err(Refusal::new(
            kind::WRONG_CREDENTIALS,
            "the current password is wrong",
        ));
    }
    throttle::forgive(state, &user.email, call.meta.source_ip).await?;
    let hash = state.passwords.hash(request.new_password).await?;
    let event = call.event(
        "user.password_changed",
        (ObjectKind::User, user.id),
        "changed the password; every session and every client's login ended",
    );
    let user = state
        .store
        .users()
        .set_password(user.id, seen, &hash, &[event])
        .await?;
    // The gateway closes what clients have open with their logins.
    state.wake.routes();
    let begun = session::begin(state, user, &headers, |object| {
        call.event(
            "session.created",
            object,
            "signed in anew after a change of password",
        )
    })
    .await?;
    Ok((
        StatusCode::OK,
        [(header::SET_COOKIE, begun.set_cookie)],
        Json(begun.session),
    ))
}
