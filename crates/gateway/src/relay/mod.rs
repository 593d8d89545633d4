//! One call of a client, there and back.
//!
//! There: `outgoing` splices id, progress token and name, and translates the era; `trip` is what a
//! server that asks back wants to be shown again, `round` how a session-era client is asked,
//! `suspended` the calls of session-era servers that wait for a modern client's answer. Back: a JSON
//! answer gets the client's id (`whole`, or `head` and then the rest as it streams in), an event
//! stream is passed on message by message (`stream`), and can be taken up again (`resumable`). `incoming` is what is changed in the final
//! answer, `waking` how it waits for a server that sleeps, `trace` the trace that it belongs to, `record` the audit.

mod incoming;
mod outgoing;
mod record;
pub(crate) mod resumable;
mod round;
mod source;
mod stream;
pub(crate) mod suspended;
pub(crate) mod trace;
mod trip;
mod waking;
mod whole;

use std::sync::Arc;

use agentopia_mcp::{Envelope, ErrorCode, Field, Id, RpcError};
use axum::response::Response;
use http::HeaderMap;

use crate::aggregate::resolve::{Hop, Way};
use crate::audit::CallOutcome;
use crate::clients::Client;
use crate::core::Core;
use crate::edge::answer;
use crate::limits::{self, TooMany};
use crate::quotas::{Counted, Quota};
use crate::sleepers::wakes;
use crate::upstream::UpstreamError;
use crate::upstream::call::OpenCall;
use crate::upstream::exchange::{self, Reply};
use record::Record;
use round::Again;
use source::Source;
use trace::Trace;
use trip::Trip;

/// So many sessions are opened for one call at most: one can be lost when a server is started anew,
/// the next when it crashes while it introduces itself.
pub(crate) const SESSIONS: usize = 3;

/// What a client asked for.
pub(crate) struct Asking<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) client: &'a Arc<Client>,
    /// Its message, a request.
    pub(crate) message: &'a Envelope,
    pub(crate) id: &'a Id,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) trace: Trace,
    /// It was inside of another call, of which the headers speak.
    pub(crate) inner: bool,
}

/// The same, kept for as long as the call takes.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    core: Arc<Core>,
    client: Arc<Client>,
    message: Envelope,
    id: Id,
    headers: HeaderMap,
    trace: Trace,
    inner: bool,
}

impl<'a> Asking<'a> {
    /// For the call inside of this one.
    pub(crate) fn inside(self, message: &'a Envelope) -> Self {
        Self {
            message,
            inner: true,
            ..self
        }
    }

    fn kept(&self) -> Kept {
        Kept {
            core: self.core.clone(),
            client: self.client.clone(),
            message: self.message.clone(),
            id: self.id.clone(),
            headers: self.headers.clone(),
            trace: self.trace,
            inner: self.inner,
        }
    }
}

impl Kept {
    fn asking(&self) -> Asking<'_> {
        Asking {
            core: &self.core,
            client: &self.client,
            message: &self.message,
            id: &self.id,
            headers: &self.headers,
            trace: self.trace,
            inner: self.inner,
        }
    }
}

/// Takes a call to the first server of its way that has an answer, and brings that back.
pub(crate) async fn relay(asking: &Asking<'_>, way: Way) -> Response {
    let (last, before) = match way.split_last() {
        Some(split) => split,
        None => return nowhere(asking),
    };
    let first = before.first().unwrap_or(last);
    let mut counted = match admit(asking, first) {
        Ok(counted) => counted,
        Err(refused) => {
            Record::begin(asking, first, Counted::default()).end(CallOutcome::Limited, 0);
            return answer::too_many(&refused.to_rpc(), asking.id, refused.seconds());
        }
    };
    for hop in before {
        counted = match Box::pin(try_one(asking, hop, counted)).await {
            Ok(response) => return response,
            Err(counted) => counted,
        }
    }
    one(asking, last, counted).await
}

/// Counts a call against the limits of whoever makes it, once for all servers that it is taken to.
fn admit(asking: &Asking<'_>, hop: &Hop) -> Result<Counted, TooMany> {
    let Some(field) = limits::counted(asking.message) else {
        return Ok(Counted::default());
    };
    let core = asking.core;
    let name = match &hop.rename {
        Some((_, own)) => (&**own).into(),
        None => asking.message.text(field).unwrap_or_default(),
    };
    let principal = asking.client.principal;
    let (account, of_agent, of_account) = {
        let routes = core.routes.load();
        let agent = principal.agent_id().and_then(|id| routes.agents.get(&id));
        let account = match (principal.user_id(), agent) {
            (Some(user), _) => user.into(),
            (None, Some(agent)) => agent.account_id,
            (None, None) => hop.route.account_id,
        };
        let of_agent = agent.map(|agent| Quota {
            who: agent.id,
            limit: agent.calls_per_day,
        });
        (account, of_agent, routes.quota_of(account))
    };
    let caller = principal.owner_key();
    core.limits.admit(caller, account, hop.route.id, &name)?;
    let counted = core.quotas.admit(core.ambient.now(), of_agent, of_account);
    Ok(counted?)
}

/// No server could have it: only resources can end here.
fn nowhere(asking: &Asking<'_>) -> Response {
    let era = asking.client.hello.era;
    let uri = asking.message.text(Field::ParamsUri).unwrap_or_default();
    answer::error(
        era,
        &RpcError::resource_not_found(&uri, era),
        Some(asking.id),
    )
}

/// One server's answer, whatever it is.
async fn one(asking: &Asking<'_>, hop: &Hop, counted: Counted) -> Response {
    let waiting =
        Trip::repeated(asking, hop).and_then(|trip| Some((trip.handle(asking.core)?, trip)));
    if let Some((handle, trip)) = waiting {
        return Box::pin(stream::resume(asking, &handle, trip)).await;
    }
    let record = Record::begin(asking, hop, counted);
    match send(asking, hop, None).await {
        Ok((call, reply)) => respond(asking, hop, call, reply, record).await,
        Err(error) => failed(asking, hop, &error, record),
    }
}

/// One server's answer, if it is a result; else what was counted is given back.
async fn try_one(asking: &Asking<'_>, hop: &Hop, counted: Counted) -> Result<Response, Counted> {
    let mut record = Record::begin(asking, hop, counted);
    let Ok((call, reply)) = send(asking, hop, None).await else {
        return Err(record.discard());
    };
    match whole::collect(asking, hop, call, reply, &mut record).await {
        Ok(finished) if finished.outcome == CallOutcome::Answered => {
            record.end(finished.outcome, finished.body.len());
            Ok(answer::json(finished.status, finished.body))
        }
        _ => Err(record.discard()),
    }
}

/// Sends a call. A session that the server lost is opened anew: the server that does not know a
/// session did not execute its call (rule 17).
async fn send(
    asking: &Asking<'_>,
    hop: &Hop,
    again: Option<&Again>,
) -> Result<(OpenCall, Reply), UpstreamError> {
    let mut sessions = SESSIONS;
    loop {
        sessions -= 1;
        match send_once(asking, hop, again).await {
            Err(UpstreamError::SessionLost) if sessions > 0 => {}
            outcome => return outcome,
        }
    }
}

async fn send_once(
    asking: &Asking<'_>,
    hop: &Hop,
    again: Option<&Again>,
) -> Result<(OpenCall, Reply), UpstreamError> {
    // A server that was started anew meanwhile has another route.
    let route = asking.core.routes.now(&hop.route);
    let route = match wakes::is_up(asking.core, &route) {
        true => route,
        false => Box::pin(waking::up(asking, &route)).await?,
    };
    let live = hop
        .upstream
        .live(asking.core, asking.client, &route)
        .await?;
    let progress = asking.message.id_in(Field::MetaProgressToken);
    let mut call = OpenCall::begin(
        asking.core,
        asking.client,
        &hop.upstream,
        &live,
        Some(asking.id.clone()),
        progress,
    );
    let (body, headers) = match outgoing::prepare(asking, hop, &call, again) {
        Ok(prepared) => prepared,
        Err(error) => {
            call.finish();
            return Err(error);
        }
    };
    let sent = tokio::select! {
        sent = exchange::post(asking.core, asking.client, &live, body, headers) => sent,
        () = call.cancelled.cancelled() => return Err(UpstreamError::Cancelled),
    };
    match sent {
        Ok(reply) => Ok((call, reply)),
        Err(error) => {
            if !matches!(error, UpstreamError::Timeout) {
                call.finish();
            }
            Err(error)
        }
    }
}

async fn respond(
    asking: &Asking<'_>,
    hop: &Hop,
    call: OpenCall,
    reply: Reply,
    record: Record,
) -> Response {
    match reply {
        Reply::Json(status, body) if stream::may_be_asked(asking, &call) => {
            let source = Source::whole(status, body);
            Box::pin(stream::respond(asking, hop, call, source, record)).await
        }
        Reply::Json(status, body) => whole::respond(asking, hop, call, status, body, record).await,
        Reply::Events(reader) => {
            let source = Source::events(*reader);
            Box::pin(stream::respond(asking, hop, call, source, record)).await
        }
        Reply::Accepted => failed(
            asking,
            hop,
            &UpstreamError::NotMcp("it gave no answer"),
            record,
        ),
    }
}

fn failed(asking: &Asking<'_>, hop: &Hop, error: &UpstreamError, record: Record) -> Response {
    let era = asking.client.hello.era;
    if matches!(error, UpstreamError::Cancelled) {
        record.end(CallOutcome::Cancelled, 0);
        // A cancelled request gets no answer; HTTP needs one.
        return answer::empty_events();
    }
    record.end(CallOutcome::Failed, 0);
    let mut rpc = error.to_rpc(&hop.route.name);
    rpc.code = rpc.code.for_era(era);
    match rpc.code {
        ErrorCode::HEADER_MISMATCH => answer::refusal(&rpc, Some(asking.id)),
        _ => answer::error(era, &rpc, Some(asking.id)),
    }
}
