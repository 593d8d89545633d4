//! `PATCH /api/v1/settings`: changes the account's settings.

use std::num::NonZeroU32;

use agentopia_api::Problem;
use agentopia_api::settings::{Settings, UpdateSettingsRequest};
use agentopia_domain::event::ObjectKind;
use agentopia_store::AccountSettingsPatch;
use axum::Json;

use crate::http::extract::{Body, Call};
use crate::problem::Answer;

/// Changes the account's settings; what is absent stays. `keep_payloads: false` drops what was kept.
#[utoipa::path(
    patch,
    path = "/api/v1/settings",
    operation_id = "update_settings",
    tag = "settings",
    security(("session" = []), ("token" = [])),
    request_body = UpdateSettingsRequest,
    responses(
        (status = 200, description = "Changed", body = Settings),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<UpdateSettingsRequest>,
) -> Answer<Json<Settings>> {
    if request == UpdateSettingsRequest::default() {
        let settings = call.store().account_settings().get(call.account()).await?;
        return Ok(Json(settings.into()));
    }
    let event = call
        .event(
            "settings.changed",
            (ObjectKind::User, call.caller.user.id),
            said(&request),
        )
        .data(serde_json::json!(request));
    let patch = AccountSettingsPatch {
        keep_payloads: request.keep_payloads,
        calls_per_day: request.calls_per_day.map(NonZeroU32::new),
    };
    let settings = call
        .store()
        .account_settings()
        .update(call.account(), patch, &[event])
        .await?;
    call.state.wake.routes();
    Ok(Json(settings.into()))
}

/// For the timeline.
fn said(request: &UpdateSettingsRequest) -> String {
    let keep = request.keep_payloads.map(|keep| match keep {
        true => "arguments and results of calls are kept".to_owned(),
        false => "arguments and results of calls are not kept, and those that were are dropped"
            .to_owned(),
    });
    let limit = request.calls_per_day.map(|limit| match limit {
        0 => "no limit of calls a day".to_owned(),
        limit => format!("at most {limit} calls a day"),
    });
    let all: Vec<String> = keep.into_iter().chain(limit).collect();
    format!("changed the account's settings: {}", all.join("; "))
}
