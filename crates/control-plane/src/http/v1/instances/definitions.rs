//! `/api/v1/instances/{id}/definitions`: what its tools say of themselves, and accepting it (TOOL-10).

use agentopia_api::Problem;
use agentopia_api::definition::{HoldRequest, ToolDefinitions};
use agentopia_domain::InstanceId;
use agentopia_domain::definitions::Diff;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::instance::Instance;
use axum::Json;

use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal, kind};

/// What an instance's tools said of themselves when they were first listed or accepted, and what is other now.
#[utoipa::path(
    get,
    path = "/api/v1/instances/{id}/definitions",
    operation_id = "tool_definitions",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 200, description = "What is known", body = ToolDefinitions),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    call: Call,
    PathId(id): PathId<InstanceId>,
) -> Answer<Json<ToolDefinitions>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    Ok(Json(known(&call, &instance).await?))
}

/// Whether agents see only what was accepted: what is new or described otherwise is then held back until somebody
/// accepts it, and agents reach the instance by their own endpoints only.
#[utoipa::path(
    put,
    path = "/api/v1/instances/{id}/definitions",
    operation_id = "hold_tool_definitions",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    request_body = HoldRequest,
    responses(
        (status = 200, description = "Changed", body = ToolDefinitions),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn hold(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Body(request): Body<HoldRequest>,
) -> Answer<Json<ToolDefinitions>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    known(&call, &instance).await?;
    let event = call.event(
        "instance.tools_hold_changed",
        (ObjectKind::Instance, id),
        match request.hold {
            true => format!(
                "{}: agents see only tools that were accepted",
                instance.name
            ),
            false => format!("{}: agents see all tools", instance.name),
        },
    );
    let definitions = call.store().definitions();
    definitions
        .set_hold(call.account(), id, request.hold, &[event])
        .await?;
    call.state.wake.routes();
    Ok(Json(known(&call, &instance).await?))
}

/// Accepts what the instance's tools say of themselves now: agents see it from now on, and what comes later is
/// compared with it.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/definitions/accept",
    operation_id = "accept_tool_definitions",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 200, description = "Accepted", body = ToolDefinitions),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "wrong_state", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn accept(
    call: Call,
    PathId(id): PathId<InstanceId>,
) -> Answer<Json<ToolDefinitions>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    known(&call, &instance).await?;
    let told = |diff: &Diff| {
        let message = format!("{}: accepted its tools: {}", instance.name, diff.words());
        call.event(
            "instance.tools_accepted",
            (ObjectKind::Instance, id),
            message,
        )
        .data(serde_json::json!(diff))
    };
    let definitions = call.store().definitions();
    definitions.accept(call.account(), id, told).await?;
    call.state.wake.routes();
    Ok(Json(known(&call, &instance).await?))
}

async fn known(call: &Call, instance: &Instance) -> Answer<ToolDefinitions> {
    let definitions = call.store().definitions();
    let Some(known) = definitions.get(call.account(), instance.id).await? else {
        return Err(Refusal::new(
            kind::WRONG_STATE,
            "nobody listed its tools yet; they are written down when an agent lists them first",
        ));
    };
    Ok(ToolDefinitions {
        changes: known.diff(),
        hold: known.hold,
        accepted: known.accepted.into_values().collect(),
        listed: known.listed.map(|it| it.into_values().collect()),
    })
}
