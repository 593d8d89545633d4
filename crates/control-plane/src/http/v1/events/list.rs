//! `GET /api/v1/events`: the account's timeline.

use agentopia_api::event::{Event, EventQuery};
use agentopia_api::{Page, Problem};
use agentopia_store::EventFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The account's timeline, newest first. Admins see what concerns the whole installation too.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "list_events",
    tag = "events",
    security(("session" = []), ("token" = [])),
    params(EventQuery),
    responses(
        (status = 200, description = "A page of events", body = Page<Event>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<EventQuery>,
) -> Answer<Json<Page<Event>>> {
    let before = cursor::decode::<i64>("events", query.cursor.as_deref())?;
    let limit = cursor::limit(query.limit)?;
    let filter = EventFilter {
        kind_prefix: None,
        object_kind: query.object_kind,
        object_id: query.object_id,
    };
    let page = call
        .store()
        .events()
        .list(call.timeline(), &filter, before, limit)
        .await?;
    Ok(Json(Page {
        items: page.items.into_iter().map(Event::from).collect(),
        next_cursor: page
            .next_before
            .map(|before| cursor::encode("events", before)),
    }))
}
