//! Answers that are event streams, or become such because their client is asked something: passed on
//! message by message, each with the ids that the client knows. A stream whose first message is the
//! answer becomes plain JSON.

mod questions;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use agentopia_mcp::{Era, Field, Id, Kind, ResultType, RpcError, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::incoming::{self, Finished, Returning};
use super::record::Record;
use super::round::Round;
use super::source::{Sending, Source};
use super::suspended::Handle;
use super::trip::Trip;
use super::{Asking, Kept, resumable};
use crate::aggregate::resolve::Hop;
use crate::audit::CallOutcome;
use crate::clients::Client;
use crate::core::Core;
use crate::edge::answer;
use crate::upstream::UpstreamError;
use crate::upstream::call::{OpenCall, is_for};
use crate::upstream::inbound::{self, Inbound, Place};

pub(super) use questions::{may_be_asked, resume};

/// How long the first message may take before the client gets the head of an event stream.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Events {
    call: OpenCall,
    source: Source,
    /// What it takes to make the call again.
    kept: Option<(Kept, Hop)>,
    /// How often it was.
    rounds: usize,
    step: Step,
    /// The server's own id of the question that the client has.
    question: Option<Id>,
    /// The client has a question, and nothing comes after it on this stream.
    suspended: Option<Handle>,
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

/// What is waited for.
enum Step {
    /// The server's messages.
    Server,
    /// The client's answers to the server's questions, since then.
    Client(Round, Instant),
    /// The call, made again with these.
    Again(Sending),
}

/// A piece of a stream.
pub(super) enum Piece {
    Message(Bytes),
    /// Nothing came for a while.
    KeepAlive,
}

/// What came next.
enum Next {
    Message(Bytes),
    Final(Finished),
    /// Nothing for so long.
    Quiet,
    /// A question to a modern client: the call goes on when it is made again with the answer.
    Suspend(Handle, Bytes),
    /// The client does not want it any more.
    Cancelled,
}

pub(super) async fn respond(
    asking: &Asking<'_>,
    hop: &Hop,
    call: OpenCall,
    source: Source,
    record: Record,
) -> Response {
    let kept = may_be_asked(asking, &call).then(|| (asking.kept(), hop.clone()));
    let method = asking.message.method().into_owned();
    let era = asking.client.hello.era;
    let standing = method == agentopia_mcp::method::LISTEN;
    let events = Events {
        wants_log: era == Era::Session
            || call.live.era == Era::Modern
            || asking.message.has(Field::MetaLogLevel),
        source: match source {
            Source::Events(events) if standing => {
                Source::Events(Box::new(events.without_idle_timeout()))
            }
            source => source,
        },
        kept,
        rounds: 0,
        step: Step::Server,
        question: None,
        suspended: None,
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
    first(events).await
}

/// The first thing that comes decides about the form of the answer.
async fn first(mut events: Events) -> Response {
    match events.next(GRACE).await {
        Next::Final(finished) => {
            events.record.sent(finished.body.len());
            answer::json(finished.status, finished.body)
        }
        Next::Suspend(handle, body) => {
            events.record.sent(body.len());
            events.suspend(handle);
            answer::json(http::StatusCode::OK, body)
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
    if events.call.client.hello.resumes {
        return resumable::begin(events);
    }
    let chunks = futures::stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        let chunk = events.chunk().await?;
        match events.suspended.take() {
            Some(handle) => {
                events.suspend(handle);
                Some((Ok::<_, Infallible>(chunk), None))
            }
            None => Some((Ok(chunk), Some(events))),
        }
    });
    answer::events(Body::from_stream(chunks))
}

impl Events {
    /// Is set off when the client is gone for good.
    pub(super) fn client_gone(&self) -> CancellationToken {
        self.call.client.ended.clone()
    }

    /// Leaves it until the client has an answer.
    fn suspend(self, handle: Handle) {
        let core = self.call.core.clone();
        core.suspended.put(&core, handle, self);
    }

    pub(super) fn core(&self) -> Arc<Core> {
        self.call.core.clone()
    }

    pub(super) fn client(&self) -> Arc<Client> {
        self.call.client.clone()
    }

    /// Whether the answer was given, or none will be.
    pub(super) fn is_over(&self) -> bool {
        self.over && self.ready.is_empty()
    }

    /// So many bytes went to the client.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.record.sent(bytes);
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        match self.piece().await? {
            Piece::Message(message) => sse::write_message(&mut out, None, &message),
            Piece::KeepAlive => sse::write_keep_alive(&mut out),
        }
        self.sent(out.len());
        Some(out.into())
    }

    /// The next piece of the stream; `None` at its end. Nothing is lost when the future is dropped.
    pub(super) async fn piece(&mut self) -> Option<Piece> {
        if let Some(message) = self.ready.pop_front() {
            return Some(Piece::Message(message));
        }
        if self.over {
            return None;
        }
        match self.next(self.call.core.config.keep_alive).await {
            Next::Message(message) => Some(Piece::Message(message)),
            Next::Final(finished) => Some(Piece::Message(finished.body)),
            Next::Suspend(handle, body) => {
                self.suspended = Some(handle);
                Some(Piece::Message(body))
            }
            Next::Quiet => Some(Piece::KeepAlive),
            Next::Cancelled => None,
        }
    }

    /// Waits for something to tell the client, at most for `patience`.
    async fn next(&mut self, patience: Duration) -> Next {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(question) = self.ready.pop_front() {
                return Next::Message(question);
            }
            let came = match &mut self.step {
                Step::Server => self.hear_server(deadline).await,
                Step::Client(..) => self.hear_client(deadline).await,
                Step::Again(_) => self.once_more(deadline).await,
            };
            if let Some(next) = came {
                return next;
            }
        }
    }

    /// One message of the server.
    async fn hear_server(&mut self, deadline: Instant) -> Option<Next> {
        let cancelled = self.call.cancelled.clone();
        let read = tokio::select! {
            read = tokio::time::timeout_at(deadline, self.source.next(&self.call)) => read,
            () = cancelled.cancelled() => return Some(self.cancel()),
        };
        let raw = match read {
            Err(_)
                if !self.standing
                    && self.last_sign.elapsed() > self.call.core.config.call_idle_timeout =>
            {
                return Some(self.fail(&UpstreamError::Timeout));
            }
            Err(_) => return Some(Next::Quiet),
            Ok(Ok(Some(raw))) => raw,
            Ok(Ok(None)) => {
                self.call.finish();
                return Some(self.fail(&UpstreamError::Broken));
            }
            Ok(Err(error)) => return Some(self.fail(&error)),
        };
        self.last_sign = Instant::now();
        let place = Place {
            call: Some((self.call.number, Some(&self.id))),
            wants_log: self.wants_log,
            takes_questions: self.trip.is_some()
                && self.call.live.era == Era::Session
                && self.call.core.suspended.has_room(),
            ..Place::of(&self.call)
        };
        match inbound::take(&place, raw) {
            Inbound::Response(response)
                if is_for(&response, self.call.number)
                    || (response.kind() == Kind::ErrorResponse && response.id().is_none()) =>
            {
                self.call.finish();
                if self.kept.is_some() && response.result_type() == ResultType::InputRequired {
                    return self.ask_client(&response);
                }
                self.record.answered(&response);
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
                self.record.outcome(finished.outcome);
                self.over = true;
                Some(Next::Final(finished))
            }
            Inbound::Forward(message) => Some(Next::Message(message)),
            Inbound::Question(question) => Some(self.ask_modern(&question)),
            Inbound::Response(_) | Inbound::Handled => None,
        }
    }

    fn cancel(&mut self) -> Next {
        self.over = true;
        Next::Cancelled
    }

    /// The stream ended without an answer: the client gets one all the same.
    fn fail(&mut self, error: &UpstreamError) -> Next {
        self.refuse(error.to_rpc(&self.server))
    }

    fn refuse(&mut self, error: RpcError) -> Next {
        self.record.outcome(CallOutcome::Failed);
        self.over = true;
        Next::Final(Finished {
            status: http::StatusCode::OK,
            body: error.to_message(Some(&self.id)).into(),
            outcome: CallOutcome::Failed,
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Step::Client(round, _) = &self.step {
            round.take_back(&self.call.client);
        }
    }
}
