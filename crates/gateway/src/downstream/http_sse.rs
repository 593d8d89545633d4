//! HTTP+SSE, the transport of 2024-11-05, for clients that never learned another one: a GET opens a
//! stream, whose first event tells where to post; every answer comes on the stream, and a POST is only
//! told that its message arrived. Deprecated since 2025-03-26.
//!
//! Behind it is a session like any other: each message is dealt with as [`session`] does, and what it
//! would have answered is put on the stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use agentopia_mcp::{Envelope, Era, Id, RpcError, Splice, SseParser, era_of, method, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Busy, limits, opening, session};
use crate::clients::connections::Connection;
use crate::clients::outbox::Reader;
use crate::core::Core;
use crate::edge::{Visit, answer};

/// How long a client may take from opening its stream to `initialize`.
const FIRST_WORD: Duration = Duration::from_secs(60);

/// A GET: opens a stream; messages are to be posted to `messages`, with the connection's id.
pub(crate) fn open(visit: &Visit, messages: &str) -> Response {
    let core = &visit.core;
    let opened = core.clients.connect(core, &visit.principal, visit.target);
    let Ok((id, connection, incoming)) = opened else {
        let sentence = "too many streams are open; close one";
        return answer::refused(StatusCode::SERVICE_UNAVAILABLE, sentence);
    };
    let standing = Standing {
        core: core.clone(),
        connection,
        incoming,
        reader: None,
        greeting: Some(format!("{messages}?session_id={id}")),
        since: Instant::now(),
    };
    let chunks = futures::stream::unfold(standing, |mut standing| async move {
        let chunk = standing.chunk().await?;
        Some((Ok::<_, Infallible>(chunk), standing))
    });
    answer::events(Body::from_stream(chunks))
}

/// A POST: one message for the connection with this id.
pub(crate) async fn post(visit: Visit, id: Option<&str>, body: Bytes) -> Response {
    let core = visit.core.clone();
    let found = id.and_then(|id| core.clients.connection(id, &visit.principal, visit.target));
    let Some(connection) = found else {
        let sentence = "there is no such stream (any more); open one and initialize anew";
        return answer::refused(StatusCode::NOT_FOUND, sentence);
    };
    let bad = |sentence| answer::refused(StatusCode::BAD_REQUEST, sentence);
    let message = match Envelope::scan(body, &limits(&core)) {
        Ok(message) => message,
        Err(error) => return answer::problem(error.status(), &RpcError::from(&error)),
    };
    if era_of(&message, &visit.headers) == Era::Modern {
        return bad("messages of this revision are posted to the address that ends with /mcp");
    }
    let begins = message.method() == method::INITIALIZE;
    if begins == connection.client.get().is_some() {
        return bad(match begins {
            true => "this stream is initialised already",
            false => "initialize first",
        });
    }
    if begins {
        return begin(&visit, &connection, message).await;
    }
    let Ok(permit) = connection.in_flight.clone().try_acquire_owned() else {
        let sentence = "too many messages are being worked on; wait for some answers";
        return answer::refused(StatusCode::SERVICE_UNAVAILABLE, sentence);
    };
    // Clients post one message after the other: an answer to a server's question would never come if
    // this one waited for its call.
    tokio::spawn(async move {
        let ended = connection.ended.clone();
        tokio::select! {
            biased;
            // With what is dropped here goes the call: its server is told.
            () = ended.cancelled() => {}
            () = work(&visit, &connection, message) => {}
        }
        drop(permit);
    });
    answer::accepted()
}

async fn begin(visit: &Visit, connection: &Connection, message: Envelope) -> Response {
    match opening::begin(visit, message, false).await {
        Ok(begun) => {
            let first = connection.client.set(begun.client.clone()).is_ok();
            // The stream may have ended meanwhile, and with it whoever would end the session.
            if !first || connection.ended.is_cancelled() {
                visit.core.clients.end(&visit.core, &begun.client);
                let sentence = "this stream is initialised already, or over";
                return answer::refused(StatusCode::BAD_REQUEST, sentence);
            }
            let _gone = connection.outgoing.send(begun.answer.into()).await;
            answer::accepted()
        }
        Err(refused) => *refused,
    }
}

async fn work(visit: &Visit, connection: &Connection, message: Envelope) {
    let Some(client) = connection.client.get() else {
        return;
    };
    let _busy = Busy::new(&visit.core, client);
    let id = message.id();
    let response = session::handle(visit, client, message).await;
    put_on_stream(connection, response, id.as_ref()).await;
}

/// Sends every message of an answer. One that is refused outright gets the id of what was asked: there
/// is no other way to tell here.
async fn put_on_stream(connection: &Connection, response: Response, id: Option<&Id>) {
    let is_refused = !response.status().is_success();
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_stream = content_type.is_some_and(|value| value == "text/event-stream");
    let mut chunks = response.into_body().into_data_stream();
    let (mut parser, mut events) = (SseParser::new(usize::MAX), Vec::new());
    let mut whole = Vec::new();
    while let Some(Ok(chunk)) = chunks.next().await {
        if !is_stream {
            whole.extend_from_slice(&chunk);
            continue;
        }
        if parser.push(&chunk, &mut events).is_err() {
            return;
        }
        for event in events.drain(..) {
            if let Some(message) = event.message()
                && connection.outgoing.send(message.clone()).await.is_err()
            {
                return;
            }
        }
    }
    let message = match id {
        _ if whole.is_empty() => return,
        Some(id) if is_refused => match Envelope::scan(whole, &agentopia_mcp::Limits::default()) {
            Ok(refusal) => Splice::new(&refusal).id(id).finish(),
            Err(_) => return,
        },
        _ => whole,
    };
    let _gone = connection.outgoing.send(message.into()).await;
}

/// The stream of a connection.
struct Standing {
    core: Arc<Core>,
    connection: Arc<Connection>,
    incoming: mpsc::Receiver<Bytes>,
    /// Of what belongs to no request, once there is a session.
    reader: Option<Reader>,
    /// Where to post, until it was said.
    greeting: Option<String>,
    since: Instant,
}

impl Standing {
    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if let Some(address) = self.greeting.take() {
            sse::write_endpoint(&mut out, &address);
            return Some(out.into());
        }
        let client = self.connection.client.get();
        if client.is_none() && self.since.elapsed() > FIRST_WORD {
            return None;
        }
        if let (Some(client), None) = (client, self.reader) {
            self.reader = Some(client.outbox.attach(None));
            client.listen_upstream(&self.core);
        }
        let standing = async {
            match (client, self.reader) {
                (Some(client), Some(reader)) => {
                    client.outbox.next(reader).await.map(|(_, message)| message)
                }
                // Nothing comes that way before there is a session.
                _ => std::future::pending().await,
            }
        };
        let over = async {
            match client {
                Some(client) => client.ended.cancelled().await,
                None => self.core.stopped.cancelled().await,
            }
        };
        let either = async {
            tokio::select! {
                biased;
                () = over => None,
                message = self.incoming.recv() => message,
                message = standing => message,
            }
        };
        match tokio::time::timeout(self.core.config.keep_alive, either).await {
            Ok(message) => sse::write_message(&mut out, None, &message?),
            Err(_) => sse::write_keep_alive(&mut out),
        }
        Some(out.into())
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.core.clients.disconnect(&self.connection);
        let Some(client) = self.connection.client.get().cloned() else {
            return;
        };
        if let Some(reader) = self.reader {
            client.outbox.detach(reader);
        }
        let (core, connection) = (self.core.clone(), self.connection.clone());
        self.core.farewells.spawn(async move {
            // First its calls: servers are told of their end within the session.
            connection.calls_over().await;
            core.clients.end(&core, &client);
        });
    }
}
