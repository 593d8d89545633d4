//! `DELETE /api/v1/session`: signs out.

use agentopia_api::Problem;
use agentopia_domain::event::ObjectKind;
use axum::response::IntoResponse;
use http::{StatusCode, header};

use crate::auth::caller::SignedInBy;
use crate::auth::session;
use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

/// Signs out: the session ends and its cookie is taken away.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    operation_id = "delete_session",
    tag = "session",
    security(("session" = [])),
    responses(
        (status = 204, description = "Signed out"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<impl IntoResponse> {
    let SignedInBy::Session { id, .. } = call.caller.by else {
        return Err(Refusal::new(
            kind::FORBIDDEN,
            "a token has no session to end; revoke it instead",
        ));
    };
    let event = call.event("session.ended", (ObjectKind::Session, id), "signed out");
    call.store()
        .sessions()
        .revoke(call.caller.user.id, id, &[event])
        .await?;
    Ok((
        StatusCode::NO_CONTENT,
        [(header::SET_COOKIE, session::removal(&call.state.config)?)],
    ))
}
