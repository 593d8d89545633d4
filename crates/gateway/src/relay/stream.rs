//! Answers that are event streams: passed on message by message, each with the ids that the client
//! knows. A stream whose first message is the answer becomes plain JSON.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use agentopia_mcp::{Era, Field, Id, Kind, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::Instant;

use super::Asking;
use super::incoming::{self, Finished, Returning};
use super::record::Record;
use super::trip::Trip;
use crate::aggregate::resolve::Hop;
use crate::audit::CallOutcome;
use crate::edge::answer;
use crate::upstream::UpstreamError;
use crate::upstream::call::{OpenCall, is_for};
use crate::upstream::inbound::{self, Inbound, Place};
use crate::upstream::reader::EventReader;

/// How long the first message may take before the client gets the head of an event stream.
const GRACE: Duration = Duration::from_secs(1);

struct Events {
    call: OpenCall,
    reader: EventReader,
    record: Record,
    id: Id,
    method: String,
    trip: Option<Trip>,
    server: String,
    wants_log: bool,
    /// The stream is a standing one (`subscriptions/listen`): silence is no fault.
    standing: bool,
    ready: VecDeque<Bytes>,
    last_sign: Instant,
    over: bool,
}

/// What came next.
enum Next {
    Message(Bytes),
    Final(Finished),
    /// Nothing for so long.
    Quiet,
    /// The client does not want it any more.
    Cancelled,
}

pub(super) async fn respond(
    asking: &Asking<'_>,
    hop: &Hop,
    call: OpenCall,
    reader: EventReader,
    record: Record,
) -> Response {
    let method = asking.message.method().into_owned();
    let era = asking.client.hello.era;
    let standing = method == agentopia_mcp::method::LISTEN;
    let mut events = Events {
        wants_log: era == Era::Session
            || call.live.era == Era::Modern
            || asking.message.has(Field::MetaLogLevel),
        reader: if standing {
            reader.without_idle_timeout()
        } else {
            reader
        },
        id: asking.id.clone(),
        trip: Trip::of(asking, hop),
        server: hop.route.name.clone(),
        ready: VecDeque::new(),
        last_sign: Instant::now(),
        over: false,
        call,
        record,
        method,
        standing,
    };
    match events.next(GRACE).await {
        Next::Final(finished) => {
            events.record.sent(finished.body.len());
            answer::json(finished.status, finished.body)
        }
        Next::Message(message) => {
            events.ready.push_back(message);
            stream(events)
        }
        Next::Quiet => stream(events),
        Next::Cancelled => answer::empty_events(),
    }
}

fn stream(events: Events) -> Response {
    let chunks = futures::stream::unfold(events, |mut events| async move {
        let chunk = events.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), events))
    });
    answer::events(Body::from_stream(chunks))
}

impl Events {
    /// The next piece of the stream; `None` at its end.
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if let Some(message) = self.ready.pop_front() {
            sse::write_message(&mut out, None, &message);
        } else if self.over {
            return None;
        } else {
            match self.next(self.call.core.config.keep_alive).await {
                Next::Message(message) => sse::write_message(&mut out, None, &message),
                Next::Final(finished) => sse::write_message(&mut out, None, &finished.body),
                Next::Quiet => sse::write_keep_alive(&mut out),
                Next::Cancelled => return None,
            }
        }
        self.record.sent(out.len());
        Some(out.into())
    }

    /// Waits for something to tell the client, at most for `patience`.
    async fn next(&mut self, patience: Duration) -> Next {
        let deadline = Instant::now() + patience;
        let cancelled = self.call.cancelled.clone();
        loop {
            let read = tokio::select! {
                read = tokio::time::timeout_at(deadline, self.reader.next()) => read,
                () = cancelled.cancelled() => {
                    self.over = true;
                    return Next::Cancelled;
                }
            };
            let raw = match read {
                Err(_)
                    if !self.standing
                        && self.last_sign.elapsed() > self.call.core.config.call_idle_timeout =>
                {
                    return self.fail(&UpstreamError::Timeout);
                }
                Err(_) => return Next::Quiet,
                Ok(Ok(Some(raw))) => raw,
                Ok(Ok(None)) => {
                    self.call.finish();
                    return self.fail(&UpstreamError::Broken);
                }
                Ok(Err(error)) => return self.fail(&error),
            };
            self.last_sign = Instant::now();
            let place = Place {
                call: Some((self.call.number, Some(&self.id))),
                wants_log: self.wants_log,
                ..Place::of(&self.call)
            };
            match inbound::take(&place, raw) {
                Inbound::Response(response)
                    if is_for(&response, self.call.number)
                        || (response.kind() == Kind::ErrorResponse && response.id().is_none()) =>
                {
                    let finished = incoming::finish(
                        &Returning {
                            core: &self.call.core,
                            trip: self.trip.as_ref(),
                            client: &self.call.client,
                            live: &self.call.live,
                            id: &self.id,
                            number: self.call.number,
                            method: &self.method,
                        },
                        &response,
                    );
                    self.call.finish();
                    self.record.outcome(finished.outcome);
                    self.over = true;
                    return Next::Final(finished);
                }
                Inbound::Forward(message) => return Next::Message(message),
                Inbound::Response(_) | Inbound::Handled => {}
            }
        }
    }

    /// The stream ended without an answer: the client gets one all the same.
    fn fail(&mut self, error: &UpstreamError) -> Next {
        self.record.outcome(CallOutcome::Failed);
        self.over = true;
        let error = error.to_rpc(&self.server);
        Next::Final(Finished {
            status: http::StatusCode::OK,
            body: error.to_message(Some(&self.id)).into(),
            outcome: CallOutcome::Failed,
        })
    }
}
