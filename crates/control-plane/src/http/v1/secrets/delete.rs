//! `DELETE /api/v1/secrets/{name}`: takes a secret away that nobody reads.

use agentopia_api::Problem;
use agentopia_api::problem::FieldProblem;
use agentopia_domain::event::ObjectKind;
use agentopia_store::StoreError;
use http::StatusCode;

use super::{find, list};
use crate::http::extract::{Call, PathText};
use crate::problem::{Answer, Refusal, kind};

/// Takes a secret away. Refused, with their names, while instances read it or links carry it.
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
            let used = list::uses(&call).await?.remove(&record.id);
            Err(in_use(&used.unwrap_or_default()))
        }
        Err(error) => Err(error.into()),
    }
}

fn in_use(used: &list::Uses) -> Refusal {
    let instances = used.instances.iter().map(|user| {
        let name = &user.instance_name;
        (user.instance_id.to_string(), format!("the instance {name}"))
    });
    let links = used.links.iter().map(|carrier| {
        let name = &carrier.agent_name;
        let link = format!("{}/{}", carrier.agent_id, carrier.instance_id);
        (link, format!("a link of the agent {name}"))
    });
    let (errors, words): (Vec<FieldProblem>, Vec<String>) = instances
        .chain(links)
        .map(|(field, who)| {
            let problem = format!("{who} needs it");
            (FieldProblem { field, problem }, who)
        })
        .unzip();
    Refusal::new(
        kind::SECRET_IN_USE,
        format!("remove or change who needs it first: {}", words.join(", ")),
    )
    .with_errors(errors)
}
