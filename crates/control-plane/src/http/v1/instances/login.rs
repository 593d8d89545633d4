//! `POST` and `DELETE /api/v1/instances/{id}/login`: logs in and out at a server that runs elsewhere.

use agentopia_api::Problem;
use agentopia_api::upstream_login::{LoginBegun, LoginRequest};
use agentopia_domain::InstanceId;
use agentopia_domain::event::ObjectKind;
use agentopia_store::StoreError;
use agentopia_vault::Context;
use axum::Json;
use http::StatusCode;

use crate::http::extract::{Body, Call, PathId};
use crate::http::v1::secrets::find;
use crate::oauth::owned;
use crate::problem::{Answer, Refusal, kind};
use crate::upstream_login::identity::Given;
use crate::upstream_login::{begin as login, logout};

/// Begins a login at an instance's server, which runs elsewhere and wants OAuth. The owner opens the
/// address in the answer, signs in there as they do here, and agrees at the server's authorization
/// server; the instance's `login` tells when that is done. A login that was begun before is over.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/login",
    operation_id = "begin_instance_login",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    request_body = LoginRequest,
    responses(
        (status = 200, description = "Begun", body = LoginBegun),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "login_not_possible, invalid_input", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn begin(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Body(request): Body<LoginRequest>,
) -> Answer<Json<LoginBegun>> {
    let instance = owned::instance(call.store(), call.account(), id).await?;
    let instance = instance.ok_or_else(|| Refusal::not_found("instance"))?;
    let scope = request.scope.as_deref().map(scope).transpose()?;
    let given = given(&call, &request).await?;
    let begun = login::begin(&call.state, &instance, given, scope).await?;
    Ok(Json(LoginBegun {
        url: begun.url,
        issuer: begun.issuer,
        expires_at: begun.expires_at,
    }))
}

/// Logs out: forgets the tokens of an instance's login, and gives them back where its authorization
/// server takes them.
#[utoipa::path(
    delete,
    path = "/api/v1/instances/{id}/login",
    operation_id = "forget_instance_login",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn forget(call: Call, PathId(id): PathId<InstanceId>) -> Answer<StatusCode> {
    let instance = call.store().instances().get(call.account(), id).await?;
    let object = (ObjectKind::Instance, id);
    let said = format!("{}: logged out", instance.name);
    let event = call.event("instance.logged_out", object, said);
    logout::forget(&call.state, call.account(), id, &[event]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What RFC 6749 lets scopes be.
fn scope(text: &str) -> Answer<String> {
    let is_fine = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
    if text.len() > 1000 || !text.chars().all(is_fine) {
        let problem = "use up to 1000 printable ASCII characters, without quotes and backslashes";
        return Err(Refusal::field("scope", problem));
    }
    Ok(text.trim().to_owned())
}

async fn given(call: &Call, request: &LoginRequest) -> Answer<Option<Given>> {
    let Some(id) = &request.client_id else {
        return match &request.client_secret {
            Some(_) => Err(Refusal::field("client_secret", "give `client_id` as well")),
            None => Ok(None),
        };
    };
    let is_fine = (1..=2048).contains(&id.len()) && id.bytes().all(|b| (b' '..=b'~').contains(&b));
    if !is_fine {
        let problem = "use 1 to 2048 printable ASCII characters";
        return Err(Refusal::field("client_id", problem));
    }
    let secret = match &request.client_secret {
        Some(name) => Some(secret(call, name).await?),
        None => None,
    };
    Ok(Some(Given {
        id: id.clone(),
        secret,
    }))
}

async fn secret(call: &Call, name: &str) -> Answer<secrecy::SecretString> {
    let unknown = || {
        Refusal::new(
            kind::UNKNOWN_SECRET,
            format!("you have no secret {name}; set it with `agentopia secrets set {name}`"),
        )
    };
    let record = match find::by_name_or_id(call, name).await {
        Err(StoreError::NotFound { .. }) => return Err(unknown()),
        other => other?,
    };
    let account_id = call.account();
    let secrets = call.store().secrets();
    let sealed = secrets.sealed(account_id, &[record.id]).await?;
    let found = sealed.into_iter().next().ok_or_else(unknown)?;
    let context = Context::Secret {
        account_id,
        secret_id: found.record.id,
        revision: found.record.revision,
    };
    Ok(call
        .state
        .vault
        .open_text(&context, &found.ciphertext)
        .await?)
}
