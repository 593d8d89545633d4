//! `POST /api/v1/setup`: makes the first admin, once, and signs them in.

use agentopia_api::Problem;
use agentopia_api::auth::{Session, SetupRequest};
use agentopia_domain::UserId;
use agentopia_domain::event::{Actor, ObjectKind};
use agentopia_domain::user::Role;
use agentopia_store::NewUser;
use axum::Json;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};

use crate::auth::{password, session, throttle};
use crate::http::extract::{Body, PublicCall};
use crate::problem::{Answer, Refusal, kind};

/// Makes the first admin and signs them in. Works exactly once, with the token that the server
/// printed when it started.
#[utoipa::path(
    post,
    path = "/api/v1/setup",
    operation_id = "create_setup",
    tag = "setup",
    request_body = SetupRequest,
    responses(
        (status = 201, description = "The admin exists and is signed in", body = Session),
        (status = 403, description = "wrong_setup_token", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "already_set_up", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: PublicCall,
    headers: HeaderMap,
    Body(request): Body<SetupRequest>,
) -> Answer<impl IntoResponse> {
    let state = &call.state;
    if !state.store.users().is_empty().await? {
        return Err(agentopia_store::StoreError::AlreadySetUp.into());
    }
    throttle::setup(state, call.meta.source_ip).await?;
    if !state.setup.accepts(&request.token) {
        return Err(Refusal::new(
            kind::WRONG_SETUP_TOKEN,
            "use the token that `agentopia serve` printed when it started",
        ));
    }
    let email = password::normalise_email(&request.email)?;
    password::check_new("password", &request.password)?;
    let password_hash = state.passwords.hash(request.password).await?;
    let id: UserId = state.ambient.new_id();
    let event = call.event(
        Some(id.into()),
        Actor::User(id),
        "user.created",
        (ObjectKind::User, id),
        "the first admin was made with the set-up token",
    );
    let user = state
        .store
        .users()
        .create_first_admin(
            NewUser {
                id,
                email,
                role: Role::Admin,
                password_hash: Some(password_hash),
            },
            &[event],
        )
        .await?;
    state.setup.close();
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
