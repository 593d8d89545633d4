//! `PUT /api/v1/registry-logins/{host}`: sets the login at a registry.

use agentopia_api::Problem;
use agentopia_api::registry_login::{PutRegistryLoginRequest, RegistryLogin};
use agentopia_domain::catalog::is_repository;
use agentopia_domain::event::ObjectKind;
use axum::Json;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::http::extract::{Body, Call, PathText};
use crate::problem::{Answer, Refusal};

/// The longest user name and password, in bytes.
const MAX_LENGTH: usize = 8192;

/// Sets the login with which this account's images are pulled from a registry.
#[utoipa::path(
    put,
    path = "/api/v1/registry-logins/{host}",
    operation_id = "put_registry_login",
    tag = "registry_logins",
    security(("session" = []), ("token" = [])),
    params(("host" = String, Path, description = "Host, with its port where image names have one")),
    request_body = PutRegistryLoginRequest,
    responses(
        (status = 200, description = "Set", body = RegistryLogin),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathText(host): PathText,
    Body(request): Body<PutRegistryLoginRequest>,
) -> Answer<Json<RegistryLogin>> {
    check_host(&host)?;
    let length = request.password.expose_secret().len();
    if request.username.is_empty() || request.username.len() > MAX_LENGTH {
        return Err(Refusal::field(
            "username",
            format!("use 1 to {MAX_LENGTH} bytes"),
        ));
    }
    if length == 0 || length > MAX_LENGTH {
        return Err(Refusal::field(
            "password",
            format!("use 1 to {MAX_LENGTH} bytes"),
        ));
    }
    let id: Uuid = call.new_id();
    let context = agentopia_vault::Context::RegistryLogin {
        account_id: Some(call.account()),
        id,
    };
    let ciphertext = call
        .state
        .vault
        .seal_text(&context, &request.password)
        .await?;
    let event = call.event(
        "registry_login.set",
        (ObjectKind::Secret, id),
        format!("set the login of {} at {host}", request.username),
    );
    call.store()
        .registry_logins()
        .put(
            agentopia_store::RegistryLogin {
                id,
                account_id: Some(call.account()),
                host: host.clone(),
                username: request.username.clone(),
                ciphertext,
            },
            &[event],
        )
        .await?;
    Ok(Json(RegistryLogin {
        host,
        username: request.username,
        updated_at: call.now(),
    }))
}

/// Only what can stand before the first slash of an image's name.
fn check_host(host: &str) -> Answer<()> {
    let fits = (host.contains(['.', ':']) || host == "localhost")
        && !host.contains('/')
        && is_repository(&format!("{host}/x"));
    if fits {
        return Ok(());
    }
    Err(Refusal::field(
        "host",
        "use the registry's host as image names have it, for example registry.example.com:5000",
    ))
}

#[cfg(test)]
mod tests {
    use super::check_host;

    #[test]
    fn hosts_are_those_of_image_names() {
        for good in ["127.0.0.1:5000", "registry.example.com", "localhost"] {
            assert!(check_host(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "registry",
            "a.b/c",
            "a.b:x",
            "http://a.b",
            "..",
            ".a",
            "a.",
            "a..b",
            "-a.b",
            ":5",
        ] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
    }
}
