//! A server asks its client something during a call: put in the way of the client's era, and answered in the
//! way of the server's.

use agentopia_mcp::{Envelope, Era, Field, ObjectWriter, RpcError, jsonrpc};
use axum::response::Response;
use tokio::time::Instant;

use super::super::round::{self, Round};
use super::super::source::Source;
use super::super::suspended::Handle;
use super::super::trip::{self, Trip};
use super::super::{Asking, send};
use super::{Events, Next, Step, first};
use crate::edge::answer;
use crate::upstream::UpstreamError;
use crate::upstream::call::{OpenCall, tell};

/// What a session-era server's question is called in a result: there is one at a time.
const QUESTION: &str = "question";

/// A modern client repeats its request with the answer to a question.
pub(in crate::relay) async fn resume(asking: &Asking<'_>, handle: &Handle, trip: Trip) -> Response {
    let refuse = |error| answer::error(Era::Modern, &error, Some(asking.id));
    let answered = asking.message.raw(Field::ParamsInputResponses);
    let Some(answered) = answered.as_ref().and_then(|all| all.get(QUESTION)) else {
        let sentence = format!("inputResponses has no {QUESTION:?}");
        return refuse(RpcError::invalid_params(sentence));
    };
    let Some(mut events) = asking.core.suspended.take(handle) else {
        return refuse(Trip::refused());
    };
    if let Some(question) = events.question.take() {
        let back = jsonrpc::response(&question, &answered);
        let call = &events.call;
        tell(&call.core, &call.client, &call.live, back.into());
    }
    let token = asking.message.id_in(Field::MetaProgressToken);
    events.call.report_progress_to(token);
    events.id = asking.id.clone();
    events.trip = Some(trip);
    events.wants_log = asking.message.has(Field::MetaLogLevel);
    events.last_sign = Instant::now();
    first(events).await
}

/// Whether the server may answer with questions that this client can be asked.
pub(in crate::relay) fn may_be_asked(asking: &Asking<'_>, call: &OpenCall) -> bool {
    (asking.client.hello.era, call.live.era) == (Era::Session, Era::Modern)
        && trip::MAY_ASK.contains(&&*asking.message.method())
}

impl Events {
    /// A session-era server asks: the modern client gets its question as a result (rule 11).
    pub(super) fn ask_modern(&mut self, question: &Envelope) -> Next {
        let core = &self.call.core;
        let handle: Handle = core.ambient.random();
        let sealed = self.trip.as_ref();
        let Some(sealed) = sealed.and_then(|trip| trip.seal_handle(core, &handle)) else {
            return self.refuse(RpcError::internal("the question can't be put"));
        };
        let mut request = ObjectWriter::new();
        request.text("method", &question.method());
        if let Some(params) = question.raw(Field::Params) {
            request.raw("params", params);
        }
        let mut requests = ObjectWriter::new();
        requests.raw(QUESTION, request.finish());
        let server = self.call.live.greeting.server_info();
        let mut result = jsonrpc::modern_result("input_required", &server);
        result
            .raw("inputRequests", requests.finish())
            .text("requestState", &sealed);
        let body = jsonrpc::response(&self.id, &result.finish());
        self.question = question.id();
        Next::Suspend(handle, body.into())
    }

    /// The server's result is questions.
    pub(super) fn ask_client(&mut self, result: &Envelope) -> Option<Next> {
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
    pub(super) async fn hear_client(&mut self, deadline: Instant) -> Option<Next> {
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
                    let sending = async move { send(&kept.asking(), &hop, Some(&again)).await };
                    self.step = Step::Again(Box::pin(sending));
                }
                None
            }
        }
    }

    /// The call is made again.
    pub(super) async fn once_more(&mut self, deadline: Instant) -> Option<Next> {
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
}
