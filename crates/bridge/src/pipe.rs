//! One pipe of messages to a server, and the requests that are on their way through it.
//!
//! Requests get an id of our own on the way in (their progress token the same number), so that two
//! clients of a shared process never meet, and get theirs back on the way out (rule 9). Who gets
//! which message is decided by [`crate::routes`], without I/O; whoever holds the [`Ends`] moves the bytes.
//! Requests run in the tasks of their HTTP connections.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, ErrorCode, Id, RpcError, jsonrpc};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ends::Ends;
use crate::routes::{self, Delivery, Mode, Routes};

/// The code of "the tool's process is gone", from the range that JSON-RPC leaves to servers.
pub const PROCESS_GONE: ErrorCode = ErrorCode(-32000);
/// Messages to a server that may wait to be written.
const INPUT_QUEUE: usize = 32;
/// Messages to one client that may wait to be sent.
const CLIENT_QUEUE: usize = 16;

/// What a pipe is made with.
#[derive(Debug, Clone, Copy)]
pub struct PipeConfig {
    /// Whose it is, for the log.
    pub instance: InstanceId,
    /// Whom it serves.
    pub mode: Mode,
    /// How long a server may leave what is for it unread before it is called stuck.
    pub input_patience: Duration,
    /// How long a client may leave its stream unread before its request is cancelled.
    pub client_patience: Duration,
}

/// Why a message could not be handed to a process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It ended; the words say how.
    #[error("{0}")]
    Gone(Arc<str>),
    /// It does not read its input.
    #[error("the tool has not read its input for {} seconds: it hangs", .0.as_secs())]
    Stuck(Duration),
}

impl SendError {
    /// As the answer to a request.
    #[must_use]
    pub fn to_message(&self, id: Option<&Id>) -> Bytes {
        RpcError::new(PROCESS_GONE, self.to_string())
            .to_message(id)
            .into()
    }
}

/// A session with a server, or a process that sessions share. Dropping the last handle closes it.
#[derive(Debug)]
pub struct Pipe {
    input: mpsc::Sender<Bytes>,
    input_patience: Duration,
    pub(crate) routes: Mutex<Routes>,
    last_used: Mutex<Instant>,
    /// How it ended, for people; `None` while it runs.
    ended: watch::Receiver<Option<Arc<str>>>,
    stop: CancellationToken,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Pipe {
    /// A pipe, and its other side for whoever moves the bytes.
    #[must_use]
    pub fn new(config: PipeConfig) -> (Arc<Self>, Ends) {
        let (input, outgoing) = mpsc::channel(INPUT_QUEUE);
        let (ended_at, ended) = watch::channel(None);
        let stop = CancellationToken::new();
        let pipe = Arc::new(Self {
            input,
            input_patience: config.input_patience,
            routes: Mutex::new(Routes::new(config.mode)),
            last_used: Mutex::new(Instant::now()),
            ended,
            stop: stop.clone(),
        });
        let ends = Ends::new(&pipe, config, outgoing, ended_at, stop);
        (pipe, ends)
    }

    /// Sends a request; its answer and whatever belongs to it come out of the [`Call`].
    ///
    /// # Errors
    /// It ended before, or hangs.
    pub async fn request(
        self: &Arc<Self>,
        client: u64,
        request: &Envelope<Bytes>,
    ) -> Result<Call, SendError> {
        let (to, deliveries) = mpsc::channel(CLIENT_QUEUE);
        self.touch();
        let (id, line) = self.routes.lock().begin(client, request, to);
        let call = Call {
            pipe: Arc::clone(self),
            id,
            deliveries,
            open: true,
        };
        // A process that ended after `begin` fails this request like every other one in flight; one
        // that ended before never looks at it.
        self.send(line).await?;
        Ok(call)
    }

    /// Sends a notification or a response of a client.
    ///
    /// # Errors
    /// It ended before, or hangs.
    pub async fn notify(&self, client: u64, message: &Envelope<Bytes>) -> Result<(), SendError> {
        self.touch();
        let forwarded = self.routes.lock().forward(client, message);
        let Some(line) = forwarded else { return Ok(()) };
        self.send(line).await
    }

    /// Writes a message of our own.
    ///
    /// # Errors
    /// It ended before, or hangs.
    pub async fn send_raw(&self, message: Vec<u8>) -> Result<(), SendError> {
        self.send(routes::line(message)).await
    }

    /// Hands a line to the process, as soon as it reads.
    async fn send(&self, line: Bytes) -> Result<(), SendError> {
        match tokio::time::timeout(self.input_patience, self.input.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Gone(self.last_words().await)),
            Err(_) => Err(SendError::Stuck(self.input_patience)),
        }
    }

    /// Hands a line over if there is room; used where waiting is impossible.
    pub(crate) fn try_send(&self, line: Bytes) {
        if self.input.try_send(line).is_err() {
            tracing::debug!("a message to a server was dropped: its input is full, or it ended");
        }
    }

    /// Lets a client listen to what belongs to no request; what waited comes first. `None` if one
    /// listens already.
    pub fn listen(self: &Arc<Self>, client: u64) -> Option<Listening> {
        let (to, messages) = mpsc::channel(CLIENT_QUEUE);
        let waiting = self.routes.lock().listen(client, to)?;
        Some(Listening {
            pipe: Arc::clone(self),
            client,
            waiting: waiting.into(),
            messages,
        })
    }

    /// Enters a client, so that messages for it are kept from now on.
    pub fn enter(&self, client: u64) {
        self.routes.lock().enter(client);
    }

    /// Forgets a client; what it has in flight is cancelled.
    pub fn leave(&self, client: u64) {
        let cancelled = self.routes.lock().leave(client);
        for id in cancelled {
            self.try_send(routes::line(jsonrpc::cancelled(
                &Id::from(id),
                "the session was closed",
            )));
        }
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        self.ended.borrow().is_none() && !self.stop.is_cancelled()
    }

    /// How long nothing was asked of it and nobody listened; `None` while somebody waits.
    pub fn idle(&self) -> Option<Duration> {
        if self.routes.lock().is_busy() {
            return None;
        }
        Some(self.last_used.lock().elapsed())
    }

    /// Counts as used from now.
    pub fn touch(&self) {
        *self.last_used.lock() = Instant::now();
    }

    /// Asks it to end; see [`Self::wait_gone`].
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Resolves when it is gone.
    pub async fn wait_gone(&self) {
        self.last_words().await;
    }

    async fn last_words(&self) -> Arc<str> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(words) => words
                .clone()
                .unwrap_or_else(|| "the tool's process ended".into()),
            Err(_) => "the tool's process ended".into(),
        }
    }
}

/// A request on its way. Dropping it before its answer cancels the request.
#[derive(Debug)]
pub struct Call {
    pipe: Arc<Pipe>,
    id: u64,
    deliveries: mpsc::Receiver<Delivery>,
    open: bool,
}

impl Call {
    /// The next message that belongs to the request; `None` after the last, or when the client
    /// itself cancelled.
    pub async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await;
        if matches!(
            delivery,
            Some(Delivery::Last(_) | Delivery::Undelivered) | None
        ) {
            self.open = false;
        }
        delivery
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.pipe.touch();
        if self.open && self.pipe.routes.lock().end(self.id) {
            let id = Id::from(self.id);
            self.pipe.try_send(routes::line(jsonrpc::cancelled(
                &id,
                "the client went away",
            )));
        }
    }
}

/// A client that listens. Dropping it ends that; messages are kept again.
#[derive(Debug)]
pub struct Listening {
    pipe: Arc<Pipe>,
    client: u64,
    waiting: std::collections::VecDeque<Bytes>,
    messages: mpsc::Receiver<Bytes>,
}

impl Listening {
    /// The next message; `None` when the process is gone or the client was forgotten.
    pub async fn next(&mut self) -> Option<Bytes> {
        match self.waiting.pop_front() {
            Some(message) => Some(message),
            None => self.messages.recv().await,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.pipe.touch();
        self.pipe.routes.lock().stop_listening(self.client);
    }
}
