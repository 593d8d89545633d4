//! `GET /api/v1/registry-logins`: the account's logins, never their passwords.

use agentopia_api::registry_login::RegistryLogin;
use agentopia_api::{Page, Problem};
use axum::Json;

use crate::http::extract::Call;
use crate::problem::Answer;

/// The account's logins at registries, all on one page; never a password.
#[utoipa::path(
    get,
    path = "/api/v1/registry-logins",
    operation_id = "list_registry_logins",
    tag = "registry_logins",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "The logins", body = Page<RegistryLogin>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<Json<Page<RegistryLogin>>> {
    let logins = call
        .store()
        .registry_logins()
        .list(Some(call.account()))
        .await?;
    Ok(Json(Page {
        items: logins
            .into_iter()
            .map(|(login, updated_at)| RegistryLogin {
                host: login.host,
                username: login.username,
                updated_at,
            })
            .collect(),
        next_cursor: None,
    }))
}
