//! The control connection to the `tool-init` of one container, as the rest of the runtime sees it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tool_init::host::{HostSocket, Owner, SessionPipes, ToolEnds};
use tool_init::protocol::SessionId;

use super::actor::Actor;
use super::launch::Launch;
use super::session::Process;
use crate::runtime::docker::cgroup::Groups;
use crate::runtime::{ErrorCode, ExitInfo, ExitWatch, Quota, RuntimeError, StdioSession};

/// How long a request to `tool-init` may take; it answers in well under a millisecond.
const ANSWER: Duration = Duration::from_secs(20);

/// Finds the container's PID 1 as the host numbers it; `None` while it does not run.
pub(in crate::runtime::docker) type FindPid =
    Arc<dyn Fn() -> BoxFuture<'static, Option<u32>> + Send + Sync>;

/// What a link is made from.
pub(in crate::runtime::docker) struct LinkConfig {
    /// Whose container.
    pub(in crate::runtime::docker) instance: InstanceId,
    /// Where to listen: `init.sock` in the instance's own directory.
    pub(in crate::runtime::docker) socket: PathBuf,
    /// The container's user and group.
    pub(in crate::runtime::docker) uid: u32,
    /// Who is let in.
    pub(in crate::runtime::docker) find_pid: FindPid,
    /// Told when the HTTP server of the container ends.
    pub(in crate::runtime::docker) exits: broadcast::Sender<InstanceId>,
}

impl fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkConfig")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// What became of the container's HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::runtime::docker) enum HttpState {
    /// None was started by this DTMA or found running.
    #[default]
    None,
    /// It runs.
    Running,
    /// It ended.
    Exited(ExitInfo),
}

/// What the task that owns the connection is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Start a server: on pipes, or without (HTTP).
    Spawn {
        launch: Arc<Launch>,
        pipes: Option<ToolEnds>,
        answer: oneshot::Sender<Result<(SessionId, ExitWatch), RuntimeError>>,
    },
    /// Signal a server's process group.
    Signal { session: SessionId, signal: u8 },
}

/// The link. Dropping it closes the connection and the socket; servers go on.
#[derive(Debug)]
pub(in crate::runtime::docker) struct InitLink {
    owner: Owner,
    commands: mpsc::Sender<Command>,
    connected: watch::Receiver<bool>,
    http: watch::Receiver<HttpState>,
    groups: watch::Receiver<Groups>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for InitLink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl InitLink {
    /// Listens, and serves the connection in a task of its own.
    ///
    /// # Errors
    /// The socket can't be made.
    pub(in crate::runtime::docker) fn listen(config: LinkConfig) -> Result<Self, RuntimeError> {
        let owner = Owner {
            uid: config.uid,
            gid: config.uid,
        };
        let socket = HostSocket::bind(&config.socket, Some(owner))
            .map_err(|error| RuntimeError::io("listening for the container's tool-init", &error))?;
        let (commands, requests) = mpsc::channel(64);
        let (connected_at, connected) = watch::channel(false);
        let (http_at, http) = watch::channel(HttpState::None);
        let (groups_at, groups) = watch::channel(Groups::default());
        let stop = CancellationToken::new();
        let actor = Actor::new(config, owner, connected_at, http_at, groups_at);
        let task = tokio::spawn(actor.run(socket, requests, stop.clone()));
        Ok(Self {
            owner,
            commands,
            connected,
            http,
            groups,
            stop,
            task: Mutex::new(Some(task)),
        })
    }

    /// Closes connection and socket, and returns when they are closed: only then may another link
    /// listen in the same place. Servers go on.
    pub(in crate::runtime::docker) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // It can end in no other way than by ending.
            let _ = task.await;
        }
    }

    /// Whether `tool-init` is connected.
    pub(in crate::runtime::docker) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Resolves when `tool-init` is connected and its running servers are known.
    pub(in crate::runtime::docker) async fn connected(&self) -> Result<(), RuntimeError> {
        let mut connected = self.connected.clone();
        connected
            .wait_for(|connected| *connected)
            .await
            .map(drop)
            .map_err(|_| gone())
    }

    /// What the container uses of what it may.
    pub(super) fn quotas(&self) -> Vec<Quota> {
        self.groups.borrow().read()
    }

    /// What became of the HTTP server.
    pub(in crate::runtime::docker) fn http(&self) -> HttpState {
        self.http.borrow().clone()
    }

    /// Starts the container's HTTP server; nothing to do if it runs.
    pub(in crate::runtime::docker) async fn spawn_http(
        &self,
        launch: &Arc<Launch>,
    ) -> Result<(), RuntimeError> {
        if self.http() == HttpState::Running {
            return Ok(());
        }
        self.spawn(launch, None).await.map(drop)
    }

    /// Starts a stdio server on pipes of its own.
    pub(super) async fn spawn_stdio(
        self: &Arc<Self>,
        launch: &Arc<Launch>,
    ) -> Result<StdioSession, RuntimeError> {
        let pipes = SessionPipes::new(Some(self.owner))
            .map_err(|error| RuntimeError::io("making the pipes of a session", &error))?;
        let wrap =
            |error: std::io::Error| RuntimeError::io("making the pipes of a session", &error);
        let stdin = pipe::Sender::from_owned_fd(pipes.stdin).map_err(wrap)?;
        let stdout = pipe::Receiver::from_owned_fd(pipes.stdout).map_err(wrap)?;
        let (session, exit) = self.spawn(launch, Some(pipes.tool)).await?;
        let process = Box::new(Process::new(Arc::clone(self), session, exit));
        Ok(StdioSession {
            stdin,
            stdout,
            process,
        })
    }

    async fn spawn(
        &self,
        launch: &Arc<Launch>,
        pipes: Option<ToolEnds>,
    ) -> Result<(SessionId, ExitWatch), RuntimeError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Spawn {
            launch: Arc::clone(launch),
            pipes,
            answer,
        };
        self.commands.send(command).await.map_err(|_| gone())?;
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(RuntimeError::new(
                ErrorCode::SpawnFailed,
                format!(
                    "the container's tool-init did not answer within {} seconds",
                    ANSWER.as_secs()
                ),
            )),
        }
    }

    /// Signals a session's process group; a session that is gone needs none.
    pub(super) async fn signal(&self, session: SessionId, signal: i32) {
        let Ok(signal) = u8::try_from(signal) else {
            return;
        };
        // A closed channel means that the container is going, and the session with it.
        let _ = self
            .commands
            .send(Command::Signal { session, signal })
            .await;
    }
}

/// The answer once the task has ended.
pub(super) fn gone() -> RuntimeError {
    RuntimeError::new(ErrorCode::NotRunning, "the tool's container is not running")
}
