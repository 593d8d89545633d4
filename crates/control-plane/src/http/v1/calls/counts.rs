//! `GET /api/v1/calls/counts`: how many calls were made in a day.

use agentopia_api::Problem;
use agentopia_api::call::{CallCountQuery, CallCounts};
use axum::Json;
use chrono::Days;

use crate::http::extract::{Call, Params};
use crate::problem::{Answer, Refusal};

/// Days that are shown unless asked for others.
const DAYS: u32 = 7;
/// For how long counts are kept.
const MOST_DAYS: u32 = 400;

/// How many calls were made in a day (UTC), by each agent and by all of the account: what `calls_per_day`
/// limits. Calls that a limit refused are not counted.
#[utoipa::path(
    get,
    path = "/api/v1/calls/counts",
    operation_id = "count_calls",
    tag = "calls",
    security(("session" = []), ("token" = [])),
    params(CallCountQuery),
    responses(
        (status = 200, description = "By day, the newest first", body = CallCounts),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<CallCountQuery>,
) -> Answer<Json<CallCounts>> {
    let days = query.days.unwrap_or(DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Refusal::field(
            "days",
            format!("ask for 1 to {MOST_DAYS} days"),
        ));
    }
    let today = call.now().date_naive();
    let since = today.checked_sub_days(Days::new(u64::from(days - 1)));
    let counts = call
        .store()
        .call_counts()
        .list(call.account(), since.unwrap_or(today))
        .await?;
    Ok(Json(CallCounts {
        items: counts.into_iter().map(Into::into).collect(),
    }))
}
