//! The other side of a [`Pipe`]: what whoever moves the bytes takes messages from and gives them to.

use std::fmt;
use std::sync::{Arc, Weak};

use agentopia_mcp::{Envelope, Id, RpcError};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::pipe::{PROCESS_GONE, Pipe, PipeConfig};
use crate::routes::{Delivery, Routed};

/// See the module's header.
#[derive(Debug)]
pub struct Ends {
    /// Messages for the server, each with a line end at its end and none within.
    pub outgoing: mpsc::Receiver<Bytes>,
    /// Takes what the server says.
    pub incoming: Incoming,
    /// Says how it ended.
    pub ending: Ending,
    /// Cancelled when the pipe is to be closed; whoever finds the server gone cancels it too.
    pub stop: CancellationToken,
}

impl Ends {
    pub(crate) fn new(
        pipe: &Arc<Pipe>,
        config: PipeConfig,
        outgoing: mpsc::Receiver<Bytes>,
        ended: watch::Sender<Option<Arc<str>>>,
        stop: CancellationToken,
    ) -> Self {
        // Weak: a pipe that nobody holds any more is to be closed, not kept by its own reader.
        let pipe = Arc::downgrade(pipe);
        Self {
            outgoing,
            incoming: Incoming {
                pipe: Weak::clone(&pipe),
                config,
            },
            ending: Ending { pipe, ended },
            stop,
        }
    }
}

/// Takes what a server says.
#[derive(Debug, Clone)]
pub struct Incoming {
    pipe: Weak<Pipe>,
    config: PipeConfig,
}

impl Incoming {
    /// A message of the server: goes to whom it is for. Waits for a client that reads slowly, within its
    /// patience.
    pub async fn message(&self, message: Envelope<Bytes>) {
        let Some(pipe) = self.pipe.upgrade() else {
            return;
        };
        let routed = pipe.routes.lock().route(message);
        let patience = self.config.client_patience;
        match routed {
            Routed::Deliver {
                to,
                request,
                delivery,
            } => {
                // A client that does not read holds its own pipe up, and for so long only.
                if timeout(patience, to.send(delivery)).await.is_err() {
                    tracing::warn!(instance = %self.config.instance, "gave up on a client that does not read its stream");
                    pipe.routes.lock().end(request);
                }
            }
            Routed::Publish(streams) => {
                for (client, stream, message) in streams {
                    if timeout(patience, stream.send(message)).await.is_err() {
                        pipe.routes.lock().drop_stream(client);
                    }
                }
            }
            Routed::Reply(line) => pipe.try_send(line),
            Routed::Kept => {}
            Routed::Dropped => {
                tracing::trace!(instance = %self.config.instance, "a message of a tool that nobody waits for was dropped");
            }
        }
    }

    /// The server certainly did not get the request of this number, as its session is over.
    pub fn undelivered(&self, number: u64) {
        if let Some((_, to)) = self.take(number) {
            let _ = to.try_send(Delivery::Undelivered);
        }
    }

    /// The request of this number gets no answer of the server, but these words.
    pub fn refuse(&self, number: u64, words: &str) {
        if let Some((id, to)) = self.take(number) {
            answer(&id, &to, words);
        }
    }

    fn take(&self, number: u64) -> Option<(Id, mpsc::Sender<Delivery>)> {
        self.pipe.upgrade()?.routes.lock().take(number)
    }
}

/// Says how a pipe ended.
pub struct Ending {
    pipe: Weak<Pipe>,
    ended: watch::Sender<Option<Arc<str>>>,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}

impl Ending {
    /// Answers everything that is in flight with these words. To be called when no more requests get in.
    pub fn fail(&self, words: &str) {
        if let Some(pipe) = self.pipe.upgrade() {
            let waiting = pipe.routes.lock().drain();
            for (id, to) in waiting {
                answer(&id, &to, words);
            }
        }
    }

    /// It is gone; this was the last of it.
    pub fn gone(self, words: Arc<str>) {
        self.ended.send_replace(Some(words));
    }
}

fn answer(id: &Id, to: &mpsc::Sender<Delivery>, words: &str) {
    let message = RpcError::new(PROCESS_GONE, words).to_message(Some(id));
    // A full queue means a client that does not read; its stream just ends.
    let _ = to.try_send(Delivery::Last(message.into()));
}
