//! A server's final answer as its client gets it (rules 5, 9, 19).

use agentopia_mcp::{
    Envelope, Era, ErrorCode, Field, Id, Kind, ResultType, RpcError, Splice, method,
};
use bytes::Bytes;
use http::StatusCode;

use super::trip::Trip;
use crate::audit::CallOutcome;
use crate::clients::Client;
use crate::core::Core;
use crate::upstream::Live;

/// An answer that is ready to go.
pub(super) struct Finished {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) outcome: CallOutcome,
}

/// What is known of the call when its answer comes.
pub(super) struct Returning<'a> {
    pub(super) core: &'a Core,
    pub(super) client: &'a Client,
    pub(super) live: &'a Live,
    /// The client's id.
    pub(super) id: &'a Id,
    /// Our id on the upstream hop.
    pub(super) number: u64,
    pub(super) method: &'a str,
    /// Seals what the server asks to be shown again.
    pub(super) trip: Option<&'a Trip>,
}

/// Whether an answer that begins like this needs nothing but the client's id, so that its rest may
/// stream.
pub(super) fn needs_only_id(client: &Client, live: &Live, may_ask: bool, head: &[u8]) -> bool {
    let is_complete = || agentopia_mcp::head::result_type(head) == Some(b"complete");
    client.hello.era == live.era && (!may_ask || is_complete())
}

/// Puts the client's id in and translates between the eras.
pub(super) fn finish(back: &Returning<'_>, response: &Envelope) -> Finished {
    let (era, from) = (back.client.hello.era, back.live.era);
    let outcome = match response.kind() {
        Kind::ErrorResponse => CallOutcome::Refused(response.error_code().map_or(0, |c| c.0)),
        _ => CallOutcome::Answered,
    };
    let state = response.raw(Field::ResultRequestState);
    let sealed = back
        .trip
        .zip(state)
        .and_then(|(trip, state)| trip.seal(back.core, &state));
    let mut out = Splice::new(response).id(back.id);
    if response
        .id_in(Field::ResultMetaSubscriptionId)
        .and_then(|id| id.as_u64())
        == Some(back.number)
    {
        out = out.set(Field::ResultMetaSubscriptionId, back.id);
    }
    if let Some(sealed) = &sealed {
        out = out.set(Field::ResultRequestState, &**sealed);
    }
    let mut status = StatusCode::OK;
    if let CallOutcome::Refused(code) = outcome {
        let code = ErrorCode(code).for_era(era);
        if ErrorCode(response.error_code().map_or(0, |c| c.0)) != code
            && let Ok(number) = agentopia_mcp::Json::of(&code.0)
        {
            out = out.set(Field::ErrorCode, number);
        }
        status = code.http_status(era);
        if era == Era::Session {
            status = StatusCode::OK;
        }
    } else if (era, from) == (Era::Modern, Era::Session) {
        if !response.has(Field::ResultType) {
            out = out.set(Field::ResultType, "complete");
        }
        if !response.has(Field::ResultMetaServerInfo) {
            out = out.set(
                Field::ResultMetaServerInfo,
                back.live.greeting.server_info(),
            );
        }
        if is_cacheable(back.method) {
            if !response.has(Field::ResultTtlMs) {
                out = out.set(Field::ResultTtlMs, 0);
            }
            out = out.set(Field::ResultCacheScope, "private");
        }
    } else if (era, from) == (Era::Session, Era::Modern) {
        if matches!(
            response.result_type(),
            ResultType::InputRequired | ResultType::Task
        ) {
            let what = "the server wants input that this client's protocol revision can't give \
                        through this gateway";
            let error = RpcError::internal(what);
            return Finished {
                status: StatusCode::OK,
                outcome: CallOutcome::Refused(error.code.0),
                body: error.to_message(Some(back.id)).into(),
            };
        }
        for field in [
            Field::ResultType,
            Field::ResultTtlMs,
            Field::ResultCacheScope,
        ] {
            out = out.remove(field);
        }
        let only_info = response
            .raw(Field::ResultMeta)
            .is_some_and(|m| m.members().count() == 1);
        out = match only_info && response.has(Field::ResultMetaServerInfo) {
            true => out.remove(Field::ResultMeta),
            false => out.remove(Field::ResultMetaServerInfo),
        };
    }
    Finished {
        status,
        body: out.finish().into(),
        outcome,
    }
}

/// Modern results of these say how long they hold.
fn is_cacheable(called: &str) -> bool {
    called == method::RESOURCES_READ || agentopia_mcp::ListKind::of_method(called).is_some()
}
