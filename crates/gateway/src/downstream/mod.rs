//! The two eras as clients speak them, on one URL (rule 1).
//!
//! What waits inside of a call is as large as the largest thing that it may wait for, and is moved with
//! it. What is rare, or no call of a tool, is boxed therefore.
//!
//! `session` is the messages of a session, `opening` how one begins, `standing` its streams, `batch` many
//! messages at once, `http_sse` the older transport of the same era, `modern` the stateless era with `listen` for its standing streams; `subscribe` is what
//! both eras do about single resources.

mod batch;
pub(crate) mod http_sse;
mod listen;
mod modern;
mod opening;
mod session;
mod standing;
mod subscribe;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use agentopia_mcp::{Envelope, Era, Limits, RpcError, ScanError, era_of, headers};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;

use crate::clients::Client;
use crate::core::Core;
use crate::edge::{Visit, answer};

/// A POST: one message, or a batch of them.
pub(crate) async fn post(visit: &Visit, body: Bytes) -> Response {
    let limits = limits(&visit.core);
    match Envelope::scan(body.clone(), &limits) {
        Ok(message) => match era_of(&message, &visit.headers) {
            Era::Session => session::post(visit, message).await,
            Era::Modern => modern::post(visit, message).await,
        },
        Err(ScanError::Batch) => Box::pin(batch::post(visit, &body, &limits)).await,
        Err(error) => answer::problem(error.status(), &RpcError::from(&error)),
    }
}

pub(crate) async fn get(visit: &Visit) -> Response {
    if names_modern(visit) {
        return answer::method_not_allowed("POST");
    }
    standing::get(visit).await
}

pub(crate) fn delete(visit: &Visit) -> Response {
    if names_modern(visit) {
        return answer::method_not_allowed("POST");
    }
    session::delete(visit)
}

fn limits(core: &Core) -> Limits {
    Limits {
        max_bytes: core.config.max_body_bytes,
        ..Limits::default()
    }
}

fn names_modern(visit: &Visit) -> bool {
    let version = visit
        .headers
        .get(headers::PROTOCOL_VERSION)
        .and_then(|v| v.to_str().ok());
    version.is_some_and(|v| v >= agentopia_mcp::ProtocolVersion::V2026_07_28.as_str())
}

/// A client that something is being done for: it does not count as idle meanwhile.
pub(crate) struct Busy(Arc<Client>);

impl Busy {
    pub(crate) fn new(core: &Core, client: &Arc<Client>) -> Self {
        client.touch(core);
        client.busy.fetch_add(1, Ordering::Relaxed);
        Self(client.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps the client busy until the response's body is sent.
fn while_sending(response: Response, busy: Busy) -> Response {
    use http_body::Body as _;
    // Most answers are whole already and go out at once.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        let stream = futures::stream::unfold((body, busy), |(mut body, busy)| async move {
            use http_body_util::BodyExt as _;
            let frame = body.frame().await?;
            let data = frame.map(|f| f.into_data().unwrap_or_default());
            Some((data, (body, busy)))
        });
        Body::from_stream(stream)
    })
}
