//! `POST /api/v1/instances`: deploys a tool from the catalog.
//!
//! Everything is checked before anything is written. The environment is enabled by itself where it
//! is not (ENV-3); the rest is the reconcilers' work.

use agentopia_api::Problem;
use agentopia_api::instance::{DeployRequest, Instance};
use agentopia_domain::InstanceId;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_store::{NewInstance, Placement, StoreError};
use axum::Json;
use http::StatusCode;

use super::idle::Sleeper;
use super::{check, direct_access, egress, idle, remote, secrets, shown};
use crate::http::extract::{Body, Call};
use crate::http::v1::catalog::find;
use crate::http::v1::environment::ensure::ensure;
use crate::problem::{Answer, Refusal, kind};

/// How many names are tried where none was given.
const NAMES_TO_TRY: u32 = 100;

/// Deploys a tool. The environment is enabled by itself. Returns at once; watch the instance's
/// status and progress.
#[utoipa::path(
    post,
    path = "/api/v1/instances",
    operation_id = "deploy_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    request_body = DeployRequest,
    responses(
        (status = 202, description = "Wanted", body = Instance),
        (status = 409, description = "duplicate, does_not_fit, too_many_rules", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_input, unknown_catalog_entry, archived, unknown_version, invalid_config, missing_secret, unknown_secret", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<DeployRequest>,
) -> Answer<(StatusCode, Json<Instance>)> {
    let entry = match find::by_slug_or_id(call.store(), &request.catalog).await {
        Err(StoreError::NotFound { .. }) => {
            return Err(Refusal::new(
                kind::UNKNOWN_CATALOG_ENTRY,
                "the catalog has no such entry; `agentopia catalog list` or GET /api/v1/catalog shows all",
            ));
        }
        other => other?,
    };
    let definition = &entry.definition;
    let version = check::version(definition, request.version.as_deref())?;
    check::config(definition, &request.config)?;
    check::secrets(definition, &request.secrets)?;
    let ranges = &call.state.config.direct_access_ranges;
    let direct_access = direct_access::granted(definition, &request.allow_from, ranges)?;
    let egress = egress::decided(definition, request.egress.clone(), call.is_admin())?;
    let sleeper = Sleeper::of(direct_access.is_some(), definition.packaging.is_remote());
    let shortest = call.state.config.shortest_idle_seconds;
    let idle = idle::checked(request.idle, sleeper, shortest)?;
    let secrets = secrets::resolve(&call, &request.secrets).await?;
    let remote = remote::server(&call, definition, request.url.as_deref()).await?;
    let environment = if remote.is_some() {
        remote::environment(&call).await?
    } else {
        let event = |object| {
            call.event(
                "environment.enabled",
                object,
                format!("turned on to deploy {}", definition.slug),
            )
        };
        ensure(&call.state, call.account(), Placement::default(), event).await?
    };
    let new = |name: Name| NewInstance {
        id: call.new_id::<InstanceId>(),
        account_id: call.account(),
        environment_id: environment.id,
        catalog_entry_id: entry.id,
        name,
        version: version.version.clone(),
        config: request.config.clone(),
        secrets: secrets.clone(),
        resources: match &remote {
            Some(_) => Resources::NONE,
            None => version.resources.unwrap_or(definition.resources),
        },
        running: true,
        direct_access: direct_access.clone(),
        egress: egress.clone(),
        remote: remote.clone(),
        idle,
    };
    let instance = match &request.name {
        Some(name) => create(&call, new(name.clone()), &definition.slug).await?,
        None => {
            let mut tried = 1;
            loop {
                let name = default_name(&definition.slug, tried)?;
                match create(&call, new(name), &definition.slug).await {
                    Err(StoreError::Duplicate { .. }) if tried < NAMES_TO_TRY => tried += 1,
                    other => break other?,
                }
            }
        }
    };
    call.state.wake.instance(instance.id);
    Ok((
        StatusCode::ACCEPTED,
        Json(shown::one(&call, instance).await?),
    ))
}

async fn create(
    call: &Call,
    new: NewInstance,
    slug: &str,
) -> Result<agentopia_domain::instance::Instance, StoreError> {
    let event = call.event(
        "instance.deployed",
        (ObjectKind::Instance, new.id),
        format!("deployed {slug} {} as {}", new.version, new.name),
    );
    call.store()
        .instances()
        .create(new, check::fits, &[event])
        .await
}

/// The slug, then the slug with a number.
fn default_name(slug: &str, tried: u32) -> Answer<Name> {
    let text = if tried == 1 {
        slug.to_owned()
    } else {
        let suffix = format!("-{tried}");
        let room = agentopia_domain::name::MAX_NAME_CHARS - suffix.len();
        format!("{}{suffix}", slug.chars().take(room).collect::<String>())
    };
    Name::parse(text).map_err(|error| Refusal::field("name", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::default_name;

    #[test]
    fn names_that_we_choose_are_short_enough() {
        assert_eq!(default_name("echo", 1).unwrap().as_str(), "echo");
        assert_eq!(default_name("echo", 2).unwrap().as_str(), "echo-2");
        let long = default_name(&"x".repeat(64), 99).unwrap();
        assert_eq!(long.as_str().len(), 64);
        assert!(long.as_str().ends_with("x-99"));
    }
}
