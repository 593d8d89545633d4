//! One process of a stdio server, and the requests that are on their way through it.
//!
//! Requests get an id of our own on the way in (their progress token the same number), so that two
//! clients of a shared process never meet, and get theirs back on the way out (rule 9). Who gets
//! which message is decided by [`routes`], without I/O; [`pump`] reads and writes the pipes. Two
//! tasks a process; requests run in the tasks of their HTTP connections.

mod pump;
mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agentopia_mcp::{Envelope, Id, Limits, RpcError, jsonrpc};
use bytes::Bytes;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::runtime::{Runtime, RuntimeError, StdioSpawner};
use agentopia_domain::InstanceId;
use routes::Routes;
pub(super) use routes::{Delivery, Mode};

/// The code of "the tool's process is gone", from the range that JSON-RPC leaves to servers.
pub(super) const PROCESS_GONE: agentopia_mcp::ErrorCode = agentopia_mcp::ErrorCode(-32000);
/// Messages to a process that may wait to be written.
const STDIN_QUEUE: usize = 32;
/// Messages to one client that may wait to be sent.
const CLIENT_QUEUE: usize = 16;

/// What a process is made with.
#[derive(Debug)]
pub(super) struct ProcessConfig {
    pub(super) instance: InstanceId,
    /// The start of the instance that it belongs to.
    pub(super) epoch: u64,
    pub(super) mode: Mode,
    pub(super) limits: Limits,
    pub(super) stdin_patience: Duration,
    pub(super) client_patience: Duration,
    /// For the last words of a process that ended.
    pub(super) runtime: Arc<dyn Runtime>,
    /// Whether processes with somebody's own secrets write to the same log: what they wrote is then told
    /// to nobody who may be another.
    pub(super) mixed: Arc<AtomicBool>,
    /// Given back when the process is gone.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// Why a message could not be handed to a process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendError {
    /// It ended; the words say how.
    #[error("{0}")]
    Gone(Arc<str>),
    /// It does not read its input.
    #[error("the tool has not read its input for {} seconds: it hangs", .0.as_secs())]
    Stuck(Duration),
}

impl SendError {
    /// As the answer to a request.
    pub(super) fn to_message(&self, id: Option<&Id>) -> Bytes {
        RpcError::new(PROCESS_GONE, self.to_string())
            .to_message(id)
            .into()
    }
}

/// A running process. Dropping the last handle closes it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) epoch: u64,
    stdin: mpsc::Sender<Bytes>,
    stdin_patience: Duration,
    routes: Mutex<Routes>,
    last_used: Mutex<Instant>,
    /// How it ended, for people; `None` while it runs.
    ended: watch::Receiver<Option<Arc<str>>>,
    stop: CancellationToken,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Process {
    /// Starts one, with these values in place of the instance's own.
    pub(super) async fn open(
        spawner: &Arc<dyn StdioSpawner>,
        own: &BTreeMap<String, SecretString>,
        config: ProcessConfig,
    ) -> Result<Arc<Self>, RuntimeError> {
        let session = spawner.open_with(own).await?;
        let (stdin, lines) = mpsc::channel(STDIN_QUEUE);
        let (ended_at, ended) = watch::channel(None);
        let stop = CancellationToken::new();
        let process = Arc::new(Self {
            epoch: config.epoch,
            stdin,
            stdin_patience: config.stdin_patience,
            routes: Mutex::new(Routes::new(config.mode)),
            last_used: Mutex::new(Instant::now()),
            ended,
            stop: stop.clone(),
        });
        pump::start(&process, session, lines, config, ended_at, stop);
        Ok(process)
    }

    /// Sends a request; its answer and whatever belongs to it come out of the [`Call`].
    pub(super) async fn request(
        self: &Arc<Self>,
        client: u64,
        request: &Envelope<Bytes>,
    ) -> Result<Call, SendError> {
        let (to, deliveries) = mpsc::channel(CLIENT_QUEUE);
        self.touch();
        let (id, line) = self.routes.lock().begin(client, request, to);
        let call = Call {
            process: Arc::clone(self),
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
    pub(super) async fn notify(
        &self,
        client: u64,
        message: &Envelope<Bytes>,
    ) -> Result<(), SendError> {
        self.touch();
        let forwarded = self.routes.lock().forward(client, message);
        let Some(line) = forwarded else { return Ok(()) };
        self.send(line).await
    }

    /// Writes a message of our own.
    pub(super) async fn send_raw(&self, message: Vec<u8>) -> Result<(), SendError> {
        self.send(routes::line(message)).await
    }

    /// Hands a line to the process, as soon as it reads.
    async fn send(&self, line: Bytes) -> Result<(), SendError> {
        match tokio::time::timeout(self.stdin_patience, self.stdin.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Gone(self.last_words().await)),
            Err(_) => Err(SendError::Stuck(self.stdin_patience)),
        }
    }

    /// Hands a line over if there is room; used where waiting is impossible.
    fn try_send(&self, line: Bytes) {
        if self.stdin.try_send(line).is_err() {
            tracing::debug!(
                "a message to a tool's process was dropped: its input is full, or it ended"
            );
        }
    }

    /// Lets a client listen to what belongs to no request; what waited comes first. `None` if one
    /// listens already.
    pub(super) fn listen(self: &Arc<Self>, client: u64) -> Option<Listening> {
        let (to, messages) = mpsc::channel(CLIENT_QUEUE);
        let waiting = self.routes.lock().listen(client, to)?;
        Some(Listening {
            process: Arc::clone(self),
            client,
            waiting: waiting.into(),
            messages,
        })
    }

    /// Enters a client, so that messages for it are kept from now on.
    pub(super) fn enter(&self, client: u64) {
        self.routes.lock().enter(client);
    }

    /// Forgets a client; what it has in flight is cancelled.
    pub(super) fn leave(&self, client: u64) {
        let cancelled = self.routes.lock().leave(client);
        for id in cancelled {
            self.try_send(routes::line(jsonrpc::cancelled(
                &Id::from(id),
                "the session was closed",
            )));
        }
    }

    /// Whether it still runs.
    pub(super) fn runs(&self) -> bool {
        self.ended.borrow().is_none() && !self.stop.is_cancelled()
    }

    /// How long nothing was asked of it and nobody listened; `None` while somebody waits.
    pub(super) fn idle(&self) -> Option<Duration> {
        if self.routes.lock().is_busy() {
            return None;
        }
        Some(self.last_used.lock().elapsed())
    }

    pub(super) fn touch(&self) {
        *self.last_used.lock() = Instant::now();
    }

    /// Asks it to end; see [`Self::wait_gone`].
    pub(super) fn close(&self) {
        self.stop.cancel();
    }

    /// Resolves when it is gone.
    pub(super) async fn wait_gone(&self) {
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
pub(super) struct Call {
    process: Arc<Process>,
    id: u64,
    deliveries: mpsc::Receiver<Delivery>,
    open: bool,
}

impl Call {
    /// The next message that belongs to the request; `None` after the last, or when the client
    /// itself cancelled.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await;
        if matches!(delivery, Some(Delivery::Last(_)) | None) {
            self.open = false;
        }
        delivery
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.process.touch();
        if self.open && self.process.routes.lock().end(self.id) {
            let id = Id::from(self.id);
            self.process.try_send(routes::line(jsonrpc::cancelled(
                &id,
                "the client went away",
            )));
        }
    }
}

/// A client that listens. Dropping it ends that; messages are kept again.
#[derive(Debug)]
pub(super) struct Listening {
    process: Arc<Process>,
    client: u64,
    waiting: std::collections::VecDeque<Bytes>,
    messages: mpsc::Receiver<Bytes>,
}

impl Listening {
    /// The next message; `None` when the process is gone or the client was forgotten.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        match self.waiting.pop_front() {
            Some(message) => Some(message),
            None => self.messages.recv().await,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.process.touch();
        self.process.routes.lock().stop_listening(self.client);
    }
}
