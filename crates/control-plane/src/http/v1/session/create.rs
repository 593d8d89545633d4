//! `POST /api/v1/session`: signs in by e-mail and password.
//!
//! An unknown address, a disabled user and a wrong password get the same answer after the same
//! work, so that nobody can find out who has an account here.

use agentopia_api::Problem;
use agentopia_api::auth::{Session, SignInRequest};
use agentopia_domain::UserId;
use agentopia_domain::event::{Actor, ObjectKind, Outcome};
use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};
use uuid::Uuid;

use crate::auth::{password, session, throttle};
use crate::http::extract::{Body, PublicCall};
use crate::problem::{Answer, Refusal, kind};

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
    let state = &call.state;
    // What is no address at all is nobody's: it goes the way of unknown ones.
    let email = password::normalise_email(&request.email)
        .unwrap_or_else(|_| request.email.trim().to_lowercase());
    throttle::sign_in(state, &email, call.meta.source_ip).await?;
    let found = state.store.users().credentials_by_email(&email).await?;
    let (user, hash) = match found {
        Some(found) => (Some(found.user), found.password_hash),
        None => (None, None),
    };
    let right = state.passwords.verify(request.password, hash).await?;
    let Some(user) = user.clone().filter(|user| right && !user.disabled) else {
        let account = user.as_ref().map(|user| user.id.into());
        let object = user.map_or_else(Uuid::nil, |user| user.id.as_uuid());
        let event = call
            .event(
                account,
                Actor::Anonymous,
                "session.denied",
                (ObjectKind::User, object),
                "a sign-in was refused",
            )
            .outcome(Outcome::Denied);
        state.store.events().append(&[event]).await?;
        return Err(Refusal::new(
            kind::WRONG_CREDENTIALS,
            "e-mail address and password do not belong together, or the account is disabled",
        ));
    };
    throttle::forgive(state, &email, call.meta.source_ip).await?;
    let id: UserId = user.id;
    let begun = session::begin(state, user, &headers, |object| {
        call.event(
            Some(id.into()),
            Actor::User(id),
            "session.created",
            object,
            "signed in",
        )
    })
    .await?;
    Ok((
        StatusCode::CREATED,
        [(header::SET_COOKIE, begun.set_cookie)],
        Json(begun.session),
    ))
}
