//! The two tasks of a session with an HTTP+SSE server: one posts what is for the server, one reads its
//! stream and does what follows when it ends.
//!
//! Requests are posted side by side, as some servers answer a `POST` only when the work is done. All other
//! messages are posted by themselves: a cancellation does not overtake its request, and no request
//! overtakes `notifications/initialized`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, Limits, ScanError, batch_elements};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Server;
use super::post::{Posted, number_of, post};
use super::stream::{Said, Stream};
use crate::ends::{Ends, Incoming};

/// Requests that may be on their way at once in one session.
const MOST_FLYING: usize = 32;
/// How long a message that is posted by itself waits for those before it, and those after it for it. A
/// server that takes longer to take a message gets the next one nevertheless.
const ORDER_PATIENCE: Duration = Duration::from_secs(1);

/// Where messages go.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) server: Arc<dyn Server>,
    pub(super) endpoint: Url,
    pub(super) instance: InstanceId,
    pub(super) limits: Limits,
    /// How long the server may take to take a message.
    pub(super) patience: Duration,
}

/// What writer and reader share.
#[derive(Debug)]
struct Session {
    line: Line,
    incoming: Incoming,
    stop: CancellationToken,
    /// Why the writer ended it.
    why: OnceLock<String>,
}

/// Starts both tasks.
pub(super) fn start(line: Line, stream: Stream, ends: Ends, permit: Option<OwnedSemaphorePermit>) {
    let Ends {
        outgoing,
        incoming,
        ending,
        stop,
    } = ends;
    let session = Arc::new(Session {
        line,
        incoming,
        stop,
        why: OnceLock::new(),
    });
    let writer = tokio::spawn(Arc::clone(&session).write(outgoing));
    tokio::spawn(async move {
        let words = tokio::select! {
            words = session.read(stream) => words,
            () = session.stop.cancelled() => "the session was closed".to_owned(),
        };
        // The stream is dropped: the server sees that nobody listens, which ends its session.
        session.stop.cancel();
        // No more requests get in when the writer is gone; those that did are answered now.
        let _ = writer.await;
        let words: Arc<str> = session.why.get().cloned().unwrap_or(words).into();
        ending.fail(&words);
        tracing::debug!(instance = %session.line.instance, %words, "a session with an HTTP+SSE server ended");
        drop(permit);
        ending.gone(words);
    });
}

impl Session {
    /// Until the stream ends: how, for people.
    async fn read(&self, mut stream: Stream) -> String {
        loop {
            match stream.next().await {
                Ok(Some(Said::Message(message))) => self.heard(message).await,
                // Named once and for all: another one would divert what follows.
                Ok(Some(Said::Endpoint(_))) => {
                    tracing::debug!(instance = %self.line.instance, "a server named another endpoint, which is passed over");
                }
                Ok(None) => return "the server ended its event stream".to_owned(),
                Err(error) => return format!("the session with the server is over: {error}"),
            }
        }
    }

    async fn heard(&self, text: Bytes) {
        let limits = &self.line.limits;
        let reason = match Envelope::scan(text.clone(), limits) {
            Ok(message) => return self.incoming.message(message).await,
            Err(ScanError::Batch) => match batch_elements(&text, limits) {
                Ok(spans) => {
                    for span in spans {
                        if let Ok(message) = Envelope::scan(text.slice(span), limits) {
                            self.incoming.message(message).await;
                        }
                    }
                    return;
                }
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        // Nothing of the event itself: it may hold a secret, and this log is ours.
        tracing::warn!(
            instance = %self.line.instance, length = text.len(), %reason,
            "dropped an event of a server that is no MCP message"
        );
    }

    async fn write(self: Arc<Self>, mut outgoing: mpsc::Receiver<Bytes>) {
        // Dropped at the end, with what is still on its way.
        let mut flying = JoinSet::new();
        let posting = async {
            while let Some(message) = outgoing.recv().await {
                while flying.try_join_next().is_some() {}
                // A line end is of the standard streams.
                let message = message.slice(..message.len().saturating_sub(1));
                let number = number_of(&message, &self.line.limits);
                match number {
                    Some(_) if flying.len() < MOST_FLYING => {}
                    Some(_) => drop(flying.join_next().await),
                    None => settle(&mut flying).await,
                }
                flying.spawn(Arc::clone(&self).deliver(message, number));
                if number.is_none() {
                    settle(&mut flying).await;
                }
            }
        };
        tokio::select! {
            () = posting => (),
            () = self.stop.cancelled() => (),
        }
    }

    async fn deliver(self: Arc<Self>, message: Bytes, number: Option<u64>) {
        match post(&self.line, message).await {
            Posted::Taken => {}
            Posted::Over(words) => {
                if let Some(number) = number {
                    self.incoming.undelivered(number);
                }
                let _ = self.why.set(words);
                self.stop.cancel();
            }
            Posted::Failed(words) => match number {
                Some(number) => self.incoming.refuse(number, &words),
                None => {
                    tracing::debug!(instance = %self.line.instance, words, "a server did not take a message");
                }
            },
        }
    }
}

/// Waits until all are taken, for a while.
async fn settle(flying: &mut JoinSet<()>) {
    let all = async { while flying.join_next().await.is_some() {} };
    let _ = timeout(ORDER_PATIENCE, all).await;
}
