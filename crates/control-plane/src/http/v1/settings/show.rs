//! `GET /api/v1/settings`: the account's settings.

use agentopia_api::Problem;
use agentopia_api::settings::Settings;
use axum::Json;

use crate::http::extract::Call;
use crate::problem::Answer;

/// The account's settings.
#[utoipa::path(
    get,
    path = "/api/v1/settings",
    operation_id = "get_settings",
    tag = "settings",
    security(("session" = []), ("token" = [])),
    responses(
        (status = 200, description = "The settings", body = Settings),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call) -> Answer<Json<Settings>> {
    let settings = call.store().account_settings().get(call.account()).await?;
    Ok(Json(settings.into()))
}
