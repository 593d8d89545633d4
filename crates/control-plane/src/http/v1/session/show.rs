//! `GET /api/v1/session`: who is signed in.

use agentopia_api::Problem;
use agentopia_api::auth::Session;
use axum::Json;

use crate::auth::caller::SignedInBy;
use crate::http::extract::Call;

/// Who is signed in, by session or token. Gives the CSRF token again after a reload of the page.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    operation_id = "show_session",
    tag = "session",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "Who", body = Session),
        (status = 401, description = "not_signed_in", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Json<Session> {
    let expires_at = call.caller.expires_at();
    let csrf_token = match call.caller.by {
        SignedInBy::Session { csrf_token, .. } => Some(csrf_token),
        SignedInBy::Token(_) => None,
    };
    Json(Session {
        user: call.caller.user.into(),
        csrf_token,
        expires_at,
    })
}
