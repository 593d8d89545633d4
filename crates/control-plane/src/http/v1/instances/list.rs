//! `GET /api/v1/instances`: the account's instances.

use agentopia_api::instance::{Instance, InstanceQuery};
use agentopia_api::{Page, Problem};
use agentopia_store::InstanceFilter;
use axum::Json;

use super::shown;
use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The account's instances, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/instances",
    operation_id = "list_instances",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(InstanceQuery),
    responses(
        (status = 200, description = "A page of instances", body = Page<Instance>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<InstanceQuery>,
) -> Answer<Json<Page<Instance>>> {
    let request = cursor::page_request("instances", query.cursor.as_deref(), query.limit)?;
    let filter = InstanceFilter {
        with_removed: query.include_removed,
        ..InstanceFilter::default()
    };
    let page = call
        .store()
        .instances()
        .list(call.account(), &filter, request)
        .await?;
    let along = shown::along(&call, &page.items).await?;
    Ok(Json(cursor::page("instances", page, |instance| {
        shown::show(&call, &along, instance)
    })))
}
