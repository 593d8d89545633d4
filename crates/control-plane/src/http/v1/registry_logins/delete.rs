//! `DELETE /api/v1/registry-logins/{host}`: takes a login away.

use agentopia_api::Problem;
use agentopia_domain::event::ObjectKind;
use http::StatusCode;

use crate::http::extract::{Call, PathText};
use crate::problem::{Answer, Refusal};

/// Takes a login away.
#[utoipa::path(
    delete,
    path = "/api/v1/registry-logins/{host}",
    operation_id = "delete_registry_login",
    tag = "registry_logins",
    security(("session" = []), ("token" = [])),
    params(("host" = String, Path, description = "Host, with its port where image names have one")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathText(host): PathText) -> Answer<StatusCode> {
    let logins = call.store().registry_logins();
    let (login, _) = logins
        .list(Some(call.account()))
        .await?
        .into_iter()
        .find(|(login, _)| login.host == host)
        .ok_or_else(|| Refusal::not_found("registry login"))?;
    let event = call.event(
        "registry_login.deleted",
        (ObjectKind::Secret, login.id),
        format!("took the login at {host} away"),
    );
    logins.delete(Some(call.account()), &host, &[event]).await?;
    Ok(StatusCode::NO_CONTENT)
}
