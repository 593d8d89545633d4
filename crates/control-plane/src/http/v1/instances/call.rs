//! `POST /api/v1/instances/{id}/call`: calls a tool by hand (AGT-10, `agentopia tools call`).

use std::time::Duration;

use agentopia_api::Problem;
use agentopia_api::instance::{CallRequest, CallResponse};
use agentopia_domain::InstanceId;
use agentopia_domain::call::{self as record, CallOutcome};
use agentopia_domain::event::{ObjectKind, Outcome};
use agentopia_domain::redact::redact;
use axum::Json;
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::extract::{Body, Call, PathId};
use crate::problem::{Answer, Refusal, kind};
use crate::state::ToolGatewayError;

/// The longest name of a tool that is asked for.
const MAX_TOOL_NAME: usize = 256;

/// Calls a tool of an instance and waits for its answer. Every call is in the timeline and
/// among the calls; its arguments and result are where the account's settings say so.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/call",
    operation_id = "call_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    request_body = CallRequest,
    responses(
        (status = 200, description = "What the tool answered, also that it failed", body = CallResponse),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "not_running", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "unreachable, upstream_error", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "timed_out", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathId(id): PathId<InstanceId>,
    Body(request): Body<CallRequest>,
) -> Answer<Json<CallResponse>> {
    if request.tool.is_empty() || request.tool.len() > MAX_TOOL_NAME {
        return Err(Refusal::field(
            "tool",
            format!("use the tool's name, 1 to {MAX_TOOL_NAME} bytes"),
        ));
    }
    let instance = call.store().instances().get(call.account(), id).await?;
    let limit = Duration::from_secs(call.state.config.call_timeout_seconds);
    let at = call.now();
    let settings = call.store().account_settings().get(call.account()).await?;
    let keep = |said: String| settings.keep_payloads.then(|| redact(said.as_bytes()));
    let request_bytes = length_of(&request.arguments);
    let arguments = keep(json!(request.arguments).to_string());
    let started = tokio::time::Instant::now();
    let answered = tokio::time::timeout(
        limit,
        call.state
            .gateway
            .call(&instance, &request.tool, request.arguments),
    )
    .await
    .unwrap_or(Err(ToolGatewayError::TimedOut));
    let duration = started.elapsed();
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let is_error = match &answered {
        Ok(result) => result.get("isError") == Some(&Value::Bool(true)),
        Err(_) => true,
    };
    let outcome = if is_error {
        Outcome::Failed
    } else {
        Outcome::Succeeded
    };
    let event = call
        .event(
            "instance.tool_called",
            (ObjectKind::Instance, id),
            format!(
                "called the tool {} of {} by hand",
                request.tool, instance.name
            ),
        )
        .outcome(outcome)
        .data(json!({ "tool": request.tool, "duration_ms": duration_ms }));
    call.store().events().append(&[event]).await?;
    let (outcome, error_code) = match &answered {
        Ok(_) => (CallOutcome::Answered, None),
        Err(ToolGatewayError::Rpc { code, .. }) => {
            (CallOutcome::Refused, i32::try_from(*code).ok())
        }
        Err(_) => (CallOutcome::Failed, None),
    };
    let kept = record::Call {
        at,
        account_id: call.account(),
        agent_id: None,
        user_id: Some(call.caller.user.id),
        instance_id: id,
        method: "tools/call".to_owned(),
        target: request.tool,
        trace_id: None,
        duration,
        request_bytes,
        response_bytes: answered.as_ref().map_or(0, length_of),
        outcome,
        error_code,
        payload: record::Payload {
            arguments,
            result: answered.as_ref().ok().and_then(|it| keep(it.to_string())),
        },
    };
    call.store().calls().insert_unscoped(&[kept]).await?;
    Ok(Json(CallResponse {
        is_error,
        result: answered?,
        duration_ms,
    }))
}

/// Of something as JSON, in bytes.
fn length_of(value: &impl Serialize) -> u64 {
    serde_json::to_string(value).map_or(0, |text| text.len() as u64)
}

impl From<ToolGatewayError> for Refusal {
    fn from(error: ToolGatewayError) -> Self {
        let said = error.to_string();
        let kind = match error {
            ToolGatewayError::NotRunning(_) => kind::NOT_RUNNING,
            ToolGatewayError::Unreachable(_) => kind::UNREACHABLE,
            ToolGatewayError::Rpc { .. } => kind::UPSTREAM,
            ToolGatewayError::TimedOut => kind::TIMED_OUT,
        };
        Self::new(kind, said)
    }
}
