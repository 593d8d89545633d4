//! `PUT /api/v1/secrets/{name}`: sets a value. It is sealed before it reaches the store and never
//! read back.

use agentopia_api::Problem;
use agentopia_api::secret::{PutSecretRequest, Secret};
use agentopia_domain::event::ObjectKind;
use agentopia_domain::name::Name;
use agentopia_domain::secret::SecretRecord;
use agentopia_domain::{InstanceId, SecretId};
use agentopia_store::{NewSecret, StoreError};
use agentopia_vault::Context;
use axum::Json;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use super::{find, list};
use crate::http::extract::{Body, Call, PathText};
use crate::problem::{Answer, Refusal};

/// The longest value, in bytes.
const MAX_VALUE: usize = 65_536;
/// How often a write is tried again when somebody else wrote at the same moment.
const TRIES: usize = 5;

/// Sets a secret's value; makes the secret if there is none with this name. The instances that
/// read it are restarted with the new value, and sessions over links that carry it begin anew.
#[utoipa::path(
    put,
    path = "/api/v1/secrets/{name}",
    operation_id = "put_secret",
    tag = "secrets",
    security(("session" = []), ("token" = [])),
    params(("name" = String, Path, description = "Name, or the id of one that exists")),
    request_body = PutSecretRequest,
    responses(
        (status = 200, description = "A new value", body = Secret),
        (status = 201, description = "A new secret", body = Secret),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathText(text): PathText,
    Body(request): Body<PutSecretRequest>,
) -> Answer<(StatusCode, Json<Secret>)> {
    check_value(&request.value)?;
    for _ in 0..TRIES {
        let written = match find::by_name_or_id(&call, &text).await {
            Ok(record) => rotate(&call, &record, &request.value)
                .await
                .map(|record| (StatusCode::OK, record)),
            Err(StoreError::NotFound { .. }) => {
                // An id that is nobody's (or another account's) makes no secret of that name.
                if text.parse::<SecretId>().is_ok() {
                    return Err(Refusal::not_found("secret"));
                }
                let name = Name::parse(text.as_str())
                    .map_err(|error| Refusal::field("name", error.to_string()))?;
                create(&call, name, &request.value)
                    .await
                    .map(|record| (StatusCode::CREATED, record))
            }
            Err(error) => Err(Failure::Store(error)),
        };
        match written {
            Ok((status, record)) => {
                let used = list::uses(&call)
                    .await?
                    .remove(&record.id)
                    .unwrap_or_default();
                if !used.links.is_empty() {
                    // They have other credentials now.
                    call.state.wake.routes();
                }
                return Ok((status, Json(list::secret(record, used))));
            }
            // Somebody else wrote at the same moment: look again.
            Err(Failure::Store(StoreError::Stale { .. } | StoreError::Duplicate { .. })) => {}
            Err(Failure::Store(error)) => return Err(error.into()),
            Err(Failure::Sealing(refusal)) => return Err(refusal),
        }
    }
    Err(StoreError::Stale { what: "secret" }.into())
}

enum Failure {
    Store(StoreError),
    Sealing(Refusal),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn check_value(value: &SecretString) -> Answer<()> {
    let value = value.expose_secret();
    if value.is_empty() || value.len() > MAX_VALUE {
        return Err(Refusal::field(
            "value",
            format!("use 1 to {MAX_VALUE} bytes"),
        ));
    }
    if value.contains('\0') {
        return Err(Refusal::field(
            "value",
            "an environment variable can't hold a zero byte",
        ));
    }
    Ok(())
}

/// Where a revision of a secret is sealed for.
fn context(call: &Call, secret_id: SecretId, revision: i64) -> Context {
    Context::Secret {
        account_id: call.account(),
        secret_id,
        revision,
    }
}

async fn create(call: &Call, name: Name, value: &SecretString) -> Result<SecretRecord, Failure> {
    let id: SecretId = call.new_id();
    let ciphertext = call
        .state
        .vault
        .seal_text(&context(call, id, 1), value)
        .await
        .map_err(|error| Failure::Sealing(error.into()))?;
    let event = call.event(
        "secret.created",
        (ObjectKind::Secret, id),
        format!("set the secret {name}"),
    );
    let new = NewSecret {
        id,
        account_id: call.account(),
        name,
        ciphertext,
    };
    Ok(call.store().secrets().create(new, &[event]).await?)
}

async fn rotate(
    call: &Call,
    record: &SecretRecord,
    value: &SecretString,
) -> Result<SecretRecord, Failure> {
    let next = record.revision + 1;
    let ciphertext = call
        .state
        .vault
        .seal_text(&context(call, record.id, next), value)
        .await
        .map_err(|error| Failure::Sealing(error.into()))?;
    let event = call.event(
        "secret.rotated",
        (ObjectKind::Secret, record.id),
        format!("gave the secret {} a new value", record.name),
    );
    let (record, concerned): (SecretRecord, Vec<InstanceId>) = call
        .store()
        .secrets()
        .set_value(
            call.account(),
            record.id,
            record.revision,
            ciphertext,
            &[event],
        )
        .await?;
    for instance in concerned {
        call.state.wake.instance(instance);
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_an_environment_variable() {
        assert!(check_value(&"x".into()).is_ok());
        assert!(check_value(&"".into()).is_err());
        assert!(check_value(&"a\0b".into()).is_err());
        assert!(check_value(&"x".repeat(MAX_VALUE + 1).into()).is_err());
    }
}
