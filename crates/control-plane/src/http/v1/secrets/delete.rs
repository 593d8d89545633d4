//! `DELETE /api/v1/secrets/{name}`: takes a secret away that nobody reads.

use agentopia_api::Problem;
use agentopia_api::problem::FieldProblem;
use agentopia_domain::event::ObjectKind;
use agentopia_store::StoreError;
use http::StatusCode;

use super::{find, list};
use crate::http::extract::{Call, PathText};
use crate::problem::{Answer, Refusal, kind};

/// Takes a secret away. Refused, with their names, while instances read it.
#[utoipa::path(
    delete,
    path = "/api/v1/secrets/{name}",
    operation_id = "delete_secret",
    tag = "secrets",
    security(("session" = []), ("token" = [])),
    params(("name" = String, Path, description = "Name or id")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "secret_in_use", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathText(text): PathText) -> Answer<StatusCode> {
    let record = find::by_name_or_id(&call, &text).await?;
    let event = call.event(
        "secret.deleted",
        (ObjectKind::Secret, record.id),
        format!("took the secret {} away", record.name),
    );
    let deleted = call
        .store()
        .secrets()
        .delete(call.account(), record.id, &[event])
        .await;
    match deleted {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(StoreError::SecretInUse { .. }) => {
            let used_by = list::uses(&call)
                .await?
                .remove(&record.id)
                .unwrap_or_default();
            let names: Vec<&str> = used_by
                .iter()
                .map(|used| used.instance_name.as_str())
                .collect();
            let errors = used_by
                .iter()
                .map(|used| FieldProblem {
                    field: used.instance_id.to_string(),
                    problem: format!("the instance {} reads it", used.instance_name),
                })
                .collect();
            Err(Refusal::new(
                kind::SECRET_IN_USE,
                format!(
                    "remove or reconfigure the instances that read it first: {}",
                    names.join(", ")
                ),
            )
            .with_errors(errors))
        }
        Err(error) => Err(error.into()),
    }
}
