//! `POST /api/v1/users`: adds a user.

use agentopia_api::Problem;
use agentopia_api::user::{CreateUserRequest, User};
use agentopia_domain::UserId;
use agentopia_domain::event::ObjectKind;
use agentopia_store::NewUser;
use axum::Json;
use http::StatusCode;

use crate::auth::password;
use crate::http::extract::{Body, Call};
use crate::problem::Answer;

/// Adds a user, who can sign in at once and change the password.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    operation_id = "create_user",
    tag = "users",
    security(("session" = []), ("token" = [])),
    request_body = CreateUserRequest,
    responses(
        (status = 201, description = "Added", body = User),
        (status = 409, description = "duplicate", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<CreateUserRequest>,
) -> Answer<(StatusCode, Json<User>)> {
    let email = password::normalise_email(&request.email)?;
    password::check_new("password", &request.password)?;
    let password_hash = call.state.passwords.hash(request.password).await?;
    let id: UserId = call.new_id();
    let event = call.installation_event(
        "user.created",
        (ObjectKind::User, id),
        format!("added the user {email}"),
    );
    let user = call
        .store()
        .users()
        .create(
            NewUser {
                id,
                email,
                role: request.role,
                password_hash: Some(password_hash),
            },
            &[event],
        )
        .await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}
