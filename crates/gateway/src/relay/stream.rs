//! Answers that are event streams, or become such because their client is asked something: passed on
//! message by message, each with the ids that the client knows. A stream whose first message is the
//! answer becomes plain JSON.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use agentopia_mcp::{Envelope, Era, Field, Id, Kind, ResultType, RpcError, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::Instant;

use super::incoming::{self, Finished, Returning};
use super::record::Record;
use super::round::{self, Round};
use super::source::{Sending, Source};
use super::trip::{self, Trip};
use super::{Asking, Kept};
use crate::aggregate::resolve::Hop;
use crate::audit::CallOutcome;
use crate::edge::answer;
use crate::upstream::UpstreamError;
use crate::upstream::call::{OpenCall, is_for};
use crate::upstream::inbound::{self, Inbound, Place};

/// How long the first message may take before the client gets the head of an event stream.
const GRACE: Duration = Duration::from_secs(1);

struct Events {
    call: OpenCall,
    source: Source,
    /// What it takes to make the call again.
    kept: Option<(Kept, Hop)>,
    /// How often it was.
    rounds: usize,
    step: Step,
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
    source: Source,
    record: Record,
) -> Response {
    let kept = may_be_asked(asking, &call).then(|| (asking.kept(), hop.clone()));
    let method = asking.message.method().into_owned();
    let era = asking.client.hello.era;
    let standing = method == agentopia_mcp::method::LISTEN;
    let mut events = Events {
        wants_log: era == Era::Session
            || call.live.era == Era::Modern
            || asking.message.has(Field::MetaLogLevel),
        source: match source {
            Source::Events(reader) if standing => {
                Source::Events(Box::new(reader.without_idle_timeout()))
            }
            source => source,
        },
        kept,
        rounds: 0,
        step: Step::Server,
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

/// Whether the server may answer with questions that this client can be asked.
pub(super) fn may_be_asked(asking: &Asking<'_>, call: &OpenCall) -> bool {
    (asking.client.hello.era, call.live.era) == (Era::Session, Era::Modern)
        && trip::MAY_ASK.contains(&&*asking.message.method())
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
            Inbound::Response(_) | Inbound::Handled => None,
        }
    }

    /// The server's result is questions.
    fn ask_client(&mut self, result: &Envelope) -> Option<Next> {
        self.rounds += 1;
        if self.rounds > round::MOST {
            let error = RpcError::internal("the server goes on asking and never answers");
            return Some(self.refuse(error));
        }
        match Round::begin(&self.call.client, self.call.upstream.instance, result) {
            Ok((round, questions)) => {
                self.ready.extend(questions);
                self.step = Step::Client(round, Instant::now());
                None
            }
            Err(error) => Some(self.refuse(error)),
        }
    }

    /// The answers of the client.
    async fn hear_client(&mut self, deadline: Instant) -> Option<Next> {
        let cancelled = self.call.cancelled.clone();
        let Step::Client(round, since) = &mut self.step else {
            return None;
        };
        let answered = tokio::select! {
            answered = tokio::time::timeout_at(deadline, round.answered()) => answered,
            () = cancelled.cancelled() => return Some(self.cancel()),
        };
        match answered {
            Err(_) if since.elapsed() > self.call.core.config.request_state_lifetime => {
                let error = RpcError::internal("nobody answered the server's question in time");
                Some(self.refuse(error))
            }
            Err(_) => Some(Next::Quiet),
            Ok(Err(error)) => Some(self.refuse(error)),
            Ok(Ok(())) => {
                let (kept, hop) = self.kept.clone()?;
                if let Step::Client(round, _) = std::mem::replace(&mut self.step, Step::Server) {
                    let again = round.over();
                    let sending =
                        async move { super::send(&kept.asking(), &hop, Some(&again)).await };
                    self.step = Step::Again(Box::pin(sending));
                }
                None
            }
        }
    }

    /// The call is made again.
    async fn once_more(&mut self, deadline: Instant) -> Option<Next> {
        let Step::Again(sending) = &mut self.step else {
            return None;
        };
        match tokio::time::timeout_at(deadline, sending).await {
            Err(_) => Some(Next::Quiet),
            Ok(Err(UpstreamError::Cancelled)) => Some(self.cancel()),
            Ok(Err(error)) => Some(self.fail(&error)),
            Ok(Ok((call, reply))) => {
                self.step = Step::Server;
                self.call = call;
                self.last_sign = Instant::now();
                match Source::of(reply) {
                    Ok(source) => {
                        self.source = source;
                        None
                    }
                    Err(error) => Some(self.fail(&error)),
                }
            }
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
