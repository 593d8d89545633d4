//! The form of answers: plain JSON where the answer is all there is, an event stream from the
//! moment that something comes before it.

use std::time::Duration;

use agentopia_mcp::{Id, RpcError, sse};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::time::{Instant, interval_at};

use crate::pipe::{Call, Listening, PROCESS_GONE};
use crate::refusal;
use crate::routes::Delivery;

/// How often a silent stream gets a comment, so that nothing on the way takes it for dead and a
/// client that went away is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Waits for what a request brings, and answers it.
pub async fn to_call(mut call: Call, id: &Id) -> Response {
    match call.next().await {
        Some(Delivery::Last(message)) => json(message),
        Some(Delivery::Message(first)) => stream(first, call),
        Some(Delivery::Undelivered) => refusal::no_session(),
        // The client cancelled it in another request, and ignores what comes.
        None => refusal::rpc(
            StatusCode::OK,
            &RpcError::new(PROCESS_GONE, "the request was cancelled"),
            Some(id),
        ),
    }
}

/// A message as the whole answer.
#[must_use]
pub fn json(message: Bytes) -> Response {
    refusal::typed(StatusCode::OK, "application/json", message)
}

fn stream(first: Bytes, mut call: Call) -> Response {
    events(async_stream::stream! {
        yield event(&first);
        let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        loop {
            tokio::select! {
                delivery = call.next() => match delivery {
                    Some(Delivery::Message(message)) => yield event(&message),
                    Some(Delivery::Last(message)) => {
                        yield event(&message);
                        break;
                    }
                    Some(Delivery::Undelivered) | None => break,
                },
                _ = keep_alive.tick() => yield comment(),
            }
        }
    })
}

/// The stream of a client that listens.
#[must_use]
pub fn listening(mut listening: Listening) -> Response {
    events(async_stream::stream! {
        // Headers travel with the first bytes on some stacks: the client shall know at once.
        yield comment();
        let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        loop {
            tokio::select! {
                message = listening.next() => match message {
                    Some(message) => yield event(&message),
                    None => break,
                },
                _ = keep_alive.tick() => yield comment(),
            }
        }
    })
}

fn events(stream: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response {
    let stream = futures::StreamExt::map(stream, Ok::<_, std::convert::Infallible>);
    let mut response = refusal::typed(
        StatusCode::OK,
        "text/event-stream",
        Body::from_stream(stream),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn event(message: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 32);
    sse::write_message(&mut out, None, message);
    out.into()
}

fn comment() -> Bytes {
    let mut out = Vec::new();
    sse::write_keep_alive(&mut out);
    out.into()
}
