//! JSON answers: short ones are checked as a whole, long ones stream once their id is known.

use std::sync::Arc;

use agentopia_mcp::{Id, Kind, head};
use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as _;

use super::incoming::{self, Finished, Returning};
use super::record::Record;
use super::trip::Trip;
use super::{Asking, failed};
use crate::aggregate::resolve::Hop;
use crate::audit::CallOutcome;
use crate::edge::answer;
use crate::upstream::UpstreamError;
use crate::upstream::call::{OpenCall, is_for, parse_response, read_response};
use crate::upstream::connector::UpstreamBody;
use crate::upstream::exchange::Reply;
use crate::upstream::inbound::{self, Inbound, Place};
use crate::upstream::reader::next_chunk;

/// Answers up to this size are not streamed: checking them costs less than what it saves.
const WHOLE_UP_TO: usize = 64 << 10;
/// Of those that are known to be longer, so much is looked at: more than is ever kept of an answer.
const HEAD: usize = 16 << 10;

pub(super) async fn respond(
    asking: &Asking<'_>,
    hop: &Hop,
    mut call: OpenCall,
    status: StatusCode,
    body: UpstreamBody,
    mut record: Record,
) -> Response {
    let cancelled = call.cancelled.clone();
    let outcome = tokio::select! {
        outcome = read(asking, hop, &mut call, status, body, &mut record) => outcome,
        () = cancelled.cancelled() => Err(UpstreamError::Cancelled),
    };
    match outcome {
        Ok(Read::Whole(finished)) => {
            record.end(finished.outcome, finished.body.len());
            answer::json(finished.status, finished.body)
        }
        Ok(Read::Streaming(answer)) => streaming(call, record, answer),
        Err(error) => failed(asking, hop, &error, record),
    }
}

enum Read {
    Whole(Finished),
    Streaming(Streaming),
}

/// An answer of which the beginning was read.
struct Streaming {
    /// With the client's id, and what came behind it.
    first: [Bytes; 2],
    rest: UpstreamBody,
    /// How much of it was read, bytes.
    read: usize,
}

async fn read(
    asking: &Asking<'_>,
    hop: &Hop,
    call: &mut OpenCall,
    status: StatusCode,
    mut body: UpstreamBody,
    record: &mut Record,
) -> Result<Read, UpstreamError> {
    let config = &asking.core.config;
    let limit = config.max_upstream_message_bytes;
    let trip = Trip::of(asking, hop);
    let mut so_far = Pieces::default();
    // Looked at once: what can't be told by so much is read as a whole.
    let mut undecided = status.is_success();
    let is_long = body.size_hint().lower() > WHOLE_UP_TO as u64;
    let enough = if is_long { HEAD } else { WHOLE_UP_TO };
    while let Some(chunk) = next_chunk(&mut body, config.call_idle_timeout).await? {
        if so_far.len() + chunk.len() > limit {
            return Err(UpstreamError::TooLarge(limit));
        }
        so_far.push(chunk);
        if so_far.len() <= enough || !undecided {
            continue;
        }
        undecided = false;
        let began = so_far.bytes();
        if incoming::needs_only_id(asking.client, &call.live, trip.is_some(), began)
            && let Some(span) = head::id_span(began)
            && began[span.clone()] == *Id::from(call.number).as_raw()
        {
            record.began(began);
            let head = [&began[..span.start], asking.id.as_raw()].concat();
            let began = so_far.into_bytes();
            return Ok(Read::Streaming(Streaming {
                read: began.len(),
                first: [head.into(), began.slice(span.end..)],
                rest: body,
            }));
        }
    }
    let raw = so_far.into_bytes();
    call.finish();
    let response = parse_response(call, status, raw)?;
    record.answered(&response);
    Ok(Read::Whole(incoming::finish(
        &returning(asking, call, trip.as_ref(), &asking.message.method()),
        &response,
    )))
}

/// What was read of a body, as it came if it came in one piece.
#[derive(Debug, Default)]
struct Pieces {
    first: Bytes,
    all: BytesMut,
}

impl Pieces {
    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn bytes(&self) -> &[u8] {
        match self.all.is_empty() {
            true => &self.first,
            false => &self.all,
        }
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        self.all.extend_from_slice(&std::mem::take(&mut self.first));
        self.all.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.freeze(),
        }
    }
}

fn returning<'a>(
    asking: &'a Asking<'_>,
    call: &'a OpenCall,
    trip: Option<&'a Trip>,
    method: &'a str,
) -> Returning<'a> {
    Returning {
        core: asking.core,
        trip,
        client: asking.client,
        live: &call.live,
        id: asking.id,
        number: call.number,
        method,
    }
}

/// Passes the rest on as it comes. When it breaks off the client's connection does too: a body that
/// began can't be taken back.
fn streaming(call: OpenCall, mut record: Record, answer: Streaming) -> Response {
    let Streaming { first, rest, read } = answer;
    record.sent(first.iter().map(Bytes::len).sum());
    let config = Arc::clone(&call.core);
    let state = Some((call, record, rest, read));
    let rest = futures::stream::unfold(state, move |state| {
        let core = config.clone();
        async move {
            let (mut call, mut record, mut body, mut read) = state?;
            let cancelled = call.cancelled.clone();
            let next = tokio::select! {
                next = next_chunk(&mut body, core.config.call_idle_timeout) => next,
                () = cancelled.cancelled() => Err(UpstreamError::Cancelled),
            };
            match next {
                Ok(Some(chunk)) if read + chunk.len() <= core.config.max_upstream_message_bytes => {
                    read += chunk.len();
                    record.sent(chunk.len());
                    Some((Ok(chunk), Some((call, record, body, read))))
                }
                Ok(None) => {
                    call.finish();
                    record.outcome(CallOutcome::Answered);
                    None
                }
                Ok(Some(_)) => {
                    record.outcome(CallOutcome::Failed);
                    let limit = core.config.max_upstream_message_bytes;
                    Some((Err(UpstreamError::TooLarge(limit)), None))
                }
                Err(error) => {
                    record.outcome(CallOutcome::Failed);
                    Some((Err(error), None))
                }
            }
        }
    });
    let first = futures::stream::iter(first.map(Ok));
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    answer::json_body(StatusCode::OK, body)
}

/// Reads an answer of any form to its end; messages on the way are not passed on.
pub(super) async fn collect(
    asking: &Asking<'_>,
    hop: &Hop,
    mut call: OpenCall,
    reply: Reply,
    record: &mut Record,
) -> Result<Finished, UpstreamError> {
    let response = match reply {
        Reply::Json(status, body) => read_response(&call, status, body).await?,
        Reply::Events(mut reader) => loop {
            let Some(raw) = reader.next().await? else {
                return Err(UpstreamError::Broken);
            };
            match inbound::take(&Place::of(&call), raw) {
                Inbound::Response(r) if is_for(&r, call.number) => break *r,
                // An error that answers nothing in particular ends it too.
                Inbound::Response(r) if r.kind() == Kind::ErrorResponse && r.id().is_none() => {
                    break *r;
                }
                _ => {}
            }
        },
        Reply::Accepted => return Err(UpstreamError::NotMcp("it gave no answer")),
    };
    call.finish();
    record.answered(&response);
    Ok(incoming::finish(
        &returning(
            asking,
            &call,
            Trip::of(asking, hop).as_ref(),
            &asking.message.method(),
        ),
        &response,
    ))
}
