//! `PATCH /api/v1/instances/{id}`: changes name, configuration, secrets, who may reach its port, where it
//! may go to, or after how long without use it is stopped.

use agentopia_api::Problem;
use agentopia_api::instance::{Instance, UpdateInstanceRequest};
use agentopia_domain::InstanceId;
use agentopia_store::{InstanceIntent, Reconfigure};
use axum::Json;
use http::StatusCode;

use super::idle::Sleeper;
use super::intend::intend;
use super::{check, direct_access, egress, idle, secrets, shown};
use crate::http::extract::{Body, Call, PathId};
use crate::problem::Answer;

/// Changes an instance; what is absent stays. A tool that runs is restarted with its new
/// configuration.
#[utoipa::path(
    patch,
    path = "/api/v1/instances/{id}",
    operation_id = "update_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    request_body = UpdateInstanceRequest,
    responses(
        (status = 202, description = "Wanted", body = Instance),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "duplicate, wrong_state, too_many_rules", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_input, invalid_config, missing_secret, unknown_secret", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Body(request): Body<UpdateInstanceRequest>,
) -> Answer<(StatusCode, Json<Instance>)> {
    let instance = call.store().instances().get(call.account(), id).await?;
    if request == UpdateInstanceRequest::default() {
        return Ok((
            StatusCode::ACCEPTED,
            Json(shown::one(&call, instance).await?),
        ));
    }
    let entry = call
        .store()
        .catalog()
        .get(instance.catalog_entry_id)
        .await?;
    if let Some(config) = &request.config {
        check::config(&entry.definition, config)?;
    }
    let secrets = match &request.secrets {
        Some(mapped) => {
            check::secrets(&entry.definition, mapped)?;
            Some(secrets::resolve(&call, mapped).await?)
        }
        None => None,
    };
    let direct_access = match &request.allow_from {
        Some(allow_from) => {
            let ranges = &call.state.config.direct_access_ranges;
            direct_access::granted(&entry.definition, allow_from, ranges)?
        }
        None => None,
    };
    let egress = match request.egress {
        Some(asked) => Some(egress::decided(
            &entry.definition,
            Some(asked),
            call.is_admin(),
        )?),
        None => None,
    };
    let idle = match request.idle {
        Some(setting) => {
            let sleeper = Sleeper::of(instance.direct_access.is_some(), instance.remote.is_some());
            let shortest = call.state.config.shortest_idle_seconds;
            Some(idle::checked(setting, sleeper, shortest)?)
        }
        None => None,
    };
    let renamed = request.name.is_some();
    let answer = intend(
        &call,
        id,
        InstanceIntent::Reconfigure(Reconfigure {
            name: request.name,
            config: request.config,
            secrets,
            direct_access,
            egress,
            idle,
            ..Reconfigure::default()
        }),
        "instance.reconfigured",
        "changed its settings",
    )
    .await?;
    if renamed {
        // The gateway separates colliding tools by the instance's name.
        call.state.wake.routes();
    }
    Ok(answer)
}
