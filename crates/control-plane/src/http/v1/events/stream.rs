//! `GET /api/v1/events/stream`: the account's timeline as it happens (OPS-7).
//!
//! Server-sent events whose `id` is the event's sequence: a reader that was cut off continues
//! with `Last-Event-ID` (browsers do by themselves) and misses nothing. The stream reads the
//! store, not the handlers, so it also tells what other replicas and reconcilers did.

use std::convert::Infallible;
use std::time::Duration;

use agentopia_api::Problem;
use agentopia_api::event::Event;
use agentopia_store::EventFilter;
use async_stream::stream;
use axum::response::sse::{self, KeepAlive, Sse};
use futures::Stream;
use http::HeaderMap;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

/// How often the stream looks by itself, besides when the bell rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one stream lasts. The reader connects again and is authenticated again, so that a
/// session that ended does not listen on for long.
const LASTS: Duration = Duration::from_secs(600);
/// How many events are read at once.
const CHUNK: u32 = 200;

/// The account's timeline as it happens, as server-sent events: `id` is the sequence, `event` the
/// kind, `data` the event. Continue with `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/api/v1/events/stream",
    operation_id = "stream_events",
    tag = "events",
    security(("session" = []), ("token" = [])),
    params(("Last-Event-ID" = Option<i64>, Header, description = "Continue after this sequence; from now on unless given")),
    responses(
        (status = 200, description = "Events", body = Event, content_type = "text/event-stream"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>> {
    let after = match headers.get("last-event-id") {
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok())
            .ok_or_else(|| {
                Refusal::new(
                    kind::INVALID_HEADER,
                    "`Last-Event-ID` must be the `id` of an event of this stream",
                )
            })?,
        None => call.store().events().latest_sequence().await?,
    };
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(follow(call, after)).keep_alive(keep_alive))
}

fn follow(call: Call, mut after: i64) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let scope = call.timeline();
    let filter = EventFilter::default();
    let mut bell = call.state.events.listen();
    let shutdown = call.state.shutdown.clone();
    let ends = tokio::time::Instant::now() + LASTS;
    stream! {
        // A first word, so that proxies and readers know at once that the stream is open.
        yield Ok(sse::Event::default().comment("open"));
        while tokio::time::Instant::now() < ends {
            let found = match call.store().events().after(scope, &filter, after, CHUNK).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "a live stream ends: the events can't be read");
                    break;
                }
            };
            let more = found.len() == CHUNK as usize;
            for event in found {
                after = event.sequence;
                let event = Event::from(event);
                let message = sse::Event::default().id(after.to_string()).event(&event.kind);
                match message.json_data(&event) {
                    Ok(message) => yield Ok(message),
                    Err(error) => tracing::error!(%error, "an event can't be written as JSON"),
                }
            }
            if more {
                continue;
            }
            tokio::select! {
                () = bell.heard() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => break,
            }
        }
    }
}
