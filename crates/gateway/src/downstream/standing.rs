//! `GET` in a session: its standing stream, or one that broke off and is taken up again.

use std::convert::Infallible;
use std::sync::Arc;

use agentopia_mcp::{ProtocolVersion, headers, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use super::session::find;
use super::{Busy, while_sending};
use crate::clients::Client;
use crate::clients::outbox::Reader;
use crate::core::Core;
use crate::edge::{Visit, answer};
use crate::relay::resumable;

pub(super) async fn get(visit: &Visit) -> Response {
    let client = match find(visit) {
        Ok(client) => client,
        Err(refused) => return *refused,
    };
    client.touch(&visit.core);
    let after = match visit.headers.get(headers::LAST_EVENT_ID) {
        None => None,
        Some(id) => match id.to_str().ok().and_then(resumable::read_event_id) {
            Some((0, after)) => Some(after),
            Some((stream, after)) => return resume(visit, &client, stream, after).await,
            None => return not_kept(),
        },
    };
    let reader = client.outbox.attach(after);
    let primed = client.hello.version >= ProtocolVersion::V2025_11_25 && after.is_none();
    let standing = Standing {
        reader,
        primed,
        client: client.clone(),
        core: visit.core.clone(),
    };
    client.listen_upstream(&visit.core);
    let chunks = futures::stream::unfold(standing, |mut standing| async move {
        let chunk = standing.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), standing))
    });
    answer::events(Body::from_stream(chunks))
}

/// An answer is taken up again after the event with the number `after`.
async fn resume(visit: &Visit, client: &Arc<Client>, stream: u64, after: u64) -> Response {
    let core = &visit.core;
    let Some(stream) = client.streams.find(stream) else {
        return not_kept();
    };
    match resumable::resume(core, client, stream, after).await {
        Some(response) => while_sending(response, Busy::new(core, client)),
        None => not_kept(),
    }
}

fn not_kept() -> Response {
    let sentence =
        "the stream with this Last-Event-ID is not kept (any more); make the request anew";
    answer::refused(StatusCode::BAD_REQUEST, sentence)
}

/// The GET stream of a session.
struct Standing {
    reader: Reader,
    /// It begins with an id to come back with.
    primed: bool,
    client: Arc<Client>,
    core: Arc<Core>,
}

impl Standing {
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.primed) {
            let id = resumable::event_id(0, self.client.outbox.last_sent());
            sse::write_priming(&mut out, &id, None);
            return Some(out.into());
        }
        let next = self.client.outbox.next(self.reader);
        tokio::select! {
            () = self.client.ended.cancelled() => return None,
            next = tokio::time::timeout(self.core.config.keep_alive, next) => match next {
                Ok(next) => {
                    let (number, message) = next?;
                    let id = resumable::event_id(0, number);
                    sse::write_message(&mut out, Some(&id), &message);
                }
                Err(_) => sse::write_keep_alive(&mut out),
            },
        }
        Some(out.into())
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.client.outbox.detach(self.reader);
        self.client.touch(&self.core);
    }
}
