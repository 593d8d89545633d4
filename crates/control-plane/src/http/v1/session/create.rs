//! `POST /api/v1/session`: signs in by e-mail and password; how is in [`crate::auth::sign_in`].

use agentopia_api::Problem;
use agentopia_api::auth::{Session, SignInRequest};
use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};

use crate::auth::sign_in;
use crate::http::extract::{Body, PublicCall};
use crate::problem::Answer;

/// Signs in. The answer sets the session's cookie and has the CSRF token for changes.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    operation_id = "create_session",
    tag = "session",
    request_body = SignInRequest,
    responses(
        (status = 201, description = "Signed in", body = Session),
        (status = 401, description = "wrong_credentials", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_attempts", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: PublicCall,
    headers: HeaderMap,
    Body(request): Body<SignInRequest>,
) -> Answer<impl IntoResponse> {
    let begun = sign_in::sign_in(&call, &headers, &request.email, request.password).await?;
    Ok((
        StatusCode::CREATED,
        [(header::SET_COOKIE, begun.set_cookie)],
        Json(begun.session),
    ))
}
