//! The task that owns a container's control connection: what it is asked, what `tool-init` says,
//! and what follows.
//!
//! A connection that breaks is no catastrophe: `tool-init` connects again and names the servers
//! that still run. So the loop is: listen, let the right process in, serve until it breaks.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tool_init::frame::{ExitStatus, Refusal, Running, ServerKind, Stage, ToHost, ToInit};
use tool_init::host::{Control, ExpectedPeer, HostSocket, Owner};
use tool_init::protocol::SessionId;

use super::link::{Command, HttpState, LinkConfig, gone};
use crate::runtime::docker::cgroup::{Groups, OomCounter};
use crate::runtime::{ErrorCode, ExitInfo, ExitWatch, RuntimeError};

/// Between two looks at a container that is not running yet, and between two tries to listen.
const PAUSE: Duration = Duration::from_millis(50);

type Answer = oneshot::Sender<Result<(SessionId, ExitWatch), RuntimeError>>;

/// One server that `tool-init` runs, or was asked to.
#[derive(Debug)]
struct Server {
    kind: ServerKind,
    exit: watch::Sender<Option<ExitInfo>>,
    /// Waiting for SPAWNED or ERR.
    starting: Option<Answer>,
}

/// Everything the task knows.
#[derive(Debug)]
pub(super) struct Actor {
    config: LinkConfig,
    owner: Owner,
    connected: watch::Sender<bool>,
    http: watch::Sender<HttpState>,
    groups: watch::Sender<Groups>,
    servers: HashMap<SessionId, Server>,
    /// Servers that ended while there was no connection; how, may be told until `tool-init` has caught up.
    lost: Vec<SessionId>,
    last_id: u32,
    oom: OomCounter,
}

impl Actor {
    pub(super) fn new(
        config: LinkConfig,
        owner: Owner,
        connected: watch::Sender<bool>,
        http: watch::Sender<HttpState>,
        groups: watch::Sender<Groups>,
    ) -> Self {
        Self {
            config,
            owner,
            connected,
            http,
            groups,
            servers: HashMap::new(),
            lost: Vec::new(),
            last_id: 0,
            oom: OomCounter::default(),
        }
    }

    pub(super) async fn run(
        mut self,
        socket: HostSocket,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let mut socket = Some(socket);
        let work = async {
            loop {
                let listening = match socket.take() {
                    Some(socket) => socket,
                    None => self.listen_again().await,
                };
                let Some(control) = self.let_in(listening, &mut commands).await else {
                    return;
                };
                if let Err(error) = self.serve(control, &mut commands).await {
                    tracing::warn!(instance = %self.config.instance, %error, "lost the connection to tool-init");
                }
                self.connected.send_replace(false);
                self.container_may_be_gone().await;
            }
        };
        tokio::select! {
            () = work => (),
            () = stop.cancelled() => (),
        }
        self.connected.send_replace(false);
    }

    async fn listen_again(&self) -> HostSocket {
        loop {
            match HostSocket::bind(&self.config.socket, Some(self.owner)) {
                Ok(socket) => return socket,
                Err(error) => {
                    tracing::warn!(instance = %self.config.instance, %error, "can't listen for tool-init; trying again");
                    tokio::time::sleep(PAUSE * 20).await;
                }
            }
        }
    }

    /// Waits until PID 1 of our container, and nobody else, has connected. Requests made
    /// meanwhile are refused: the container is not up. `None` when nobody wants the link any more.
    async fn let_in(
        &mut self,
        socket: HostSocket,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<Control> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe, which this crate forbids; a HostSocket owns its descriptor, which is what the successor wants promised"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE);
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(instance = %self.config.instance, %error, "can't wait for tool-init");
                return None;
            }
        };
        loop {
            let ready = tokio::select! {
                ready = socket.readable() => ready,
                command = commands.recv() => {
                    refuse(command?);
                    continue;
                }
            };
            let Ok(mut ready) = ready else { return None };
            let Some(pid) = (self.config.find_pid)().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let expected = ExpectedPeer {
                pid,
                uid: self.owner.uid,
            };
            match ready.try_io(|socket| socket.get_ref().accept(expected)) {
                Ok(Ok(control)) => {
                    self.oom = OomCounter::of(pid);
                    self.groups.send_replace(Groups::of(pid));
                    return Some(control);
                }
                Ok(Err(error)) => {
                    tracing::warn!(instance = %self.config.instance, %error, "turned away a process at the container's socket");
                }
                Err(_would_block) => {}
            }
        }
    }

    async fn serve(
        &mut self,
        control: Control,
        commands: &mut mpsc::Receiver<Command>,
    ) -> io::Result<()> {
        #[expect(deprecated, reason = "as above: a Control owns its descriptor")]
        let control = AsyncFd::new(control)?;
        loop {
            tokio::select! {
                message = control.async_io(Interest::READABLE, Control::try_recv) => match message? {
                    Some(message) => self.heard(&control, message).await?,
                    None => return Ok(()),
                },
                // Nothing is asked of a tool-init that has not introduced itself and caught up.
                command = commands.recv(), if *self.connected.borrow() => match command {
                    Some(command) => self.asked(&control, command).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn heard(&mut self, control: &AsyncFd<Control>, message: ToHost) -> io::Result<()> {
        match message {
            ToHost::Hello { min, max, running } => {
                if control.get_ref().welcome(min, max)?.is_none() {
                    return Err(io::Error::other(format!(
                        "tool-init speaks versions {min} to {max}, which this DTMA does not"
                    )));
                }
                self.met(control, &running).await?;
                // It answers after all that it had kept for us.
                send(control, &ToInit::Ping { nonce: 0 }).await?;
            }
            ToHost::Spawned { session, .. } => {
                if let Some(server) = self.servers.get_mut(&session) {
                    if server.kind == ServerKind::Http {
                        self.http.send_replace(HttpState::Running);
                    }
                    let exit = server.exit.subscribe();
                    if let Some(answer) = server.starting.take()
                        && answer.send(Ok((session, exit))).is_err()
                    {
                        // Who asked has gone away.
                        signal(control, session, libc::SIGKILL).await?;
                    }
                }
            }
            ToHost::Err {
                session: Some(session),
                refusal,
            } => {
                if let Some(server) = self.servers.get_mut(&session)
                    && let Some(answer) = server.starting.take()
                {
                    self.servers.remove(&session);
                    let _ = answer.send(Err(refused(&refusal)));
                }
            }
            ToHost::Err {
                session: None,
                refusal,
            } => {
                tracing::warn!(instance = %self.config.instance, %refusal, "tool-init refused a message");
            }
            ToHost::Exit { session, status } => {
                let info = self.exit_info(status);
                self.ended(session, info);
            }
            ToHost::Orphans { pids } => {
                tracing::debug!(instance = %self.config.instance, count = pids.len(), "tool-init reaped orphans");
            }
            ToHost::Pong { .. } => self.caught_up(),
        }
        Ok(())
    }

    /// What `tool-init` kept for us is here: ids that it had to say something about are free from now
    /// on, also those that the DTMA before us gave out. Servers whose end nobody told have ended, too.
    fn caught_up(&mut self) {
        for session in std::mem::take(&mut self.lost) {
            self.ended(session, ExitInfo::default());
        }
        self.connected.send_replace(true);
    }

    /// Compares what runs with what we know: sessions that are gone have ended; an HTTP server
    /// that we did not know of was started by the DTMA before us; stdio servers of that one have
    /// lost their pipes and are ended.
    async fn met(&mut self, control: &AsyncFd<Control>, running: &[Running]) -> io::Result<()> {
        self.lost = self
            .servers
            .keys()
            .copied()
            .filter(|known| !running.iter().any(|server| server.session == *known))
            .collect();
        for server in running {
            self.last_id = self.last_id.max(server.session.get());
            if self.servers.contains_key(&server.session) {
                continue;
            }
            match server.kind {
                ServerKind::Http => {
                    self.servers.insert(
                        server.session,
                        Server {
                            kind: server.kind,
                            exit: watch::channel(None).0,
                            starting: None,
                        },
                    );
                    self.http.send_replace(HttpState::Running);
                }
                ServerKind::Stdio => signal(control, server.session, libc::SIGKILL).await?,
            }
        }
        Ok(())
    }

    async fn asked(&mut self, control: &AsyncFd<Control>, command: Command) -> io::Result<()> {
        match command {
            Command::Signal {
                session,
                signal: number,
            } => {
                if self.servers.contains_key(&session) {
                    signal(control, session, number.into()).await?;
                }
            }
            Command::Spawn {
                launch,
                pipes,
                answer,
            } => {
                let Some(session) = self.next_id() else {
                    let _ = answer.send(Err(gone()));
                    return Ok(());
                };
                let message = match launch.encode(session) {
                    Ok(message) => message,
                    Err(error) => {
                        let _ = answer.send(Err(error));
                        return Ok(());
                    }
                };
                let kind = if pipes.is_some() {
                    ServerKind::Stdio
                } else {
                    ServerKind::Http
                };
                let server = Server {
                    kind,
                    exit: watch::channel(None).0,
                    starting: Some(answer),
                };
                self.servers.insert(session, server);
                let fds = pipes.as_ref().map(|pipes| pipes.fds());
                let fds = fds.as_ref().map_or(&[][..], |fds| &fds[..]);
                control
                    .async_io(Interest::WRITABLE, |control| {
                        control.try_send(&message, fds)
                    })
                    .await?;
            }
        }
        Ok(())
    }

    /// The next id that no server has.
    fn next_id(&mut self) -> Option<SessionId> {
        for _ in 0..=self.servers.len() {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if let Some(id) = SessionId::new(self.last_id)
                && !self.servers.contains_key(&id)
            {
                return Some(id);
            }
        }
        None
    }

    fn exit_info(&mut self, status: ExitStatus) -> ExitInfo {
        match status {
            ExitStatus::Code(code) => ExitInfo {
                code: Some(code.into()),
                ..ExitInfo::default()
            },
            ExitStatus::Signal(signal) => ExitInfo {
                signal: Some(signal.into()),
                out_of_memory: i32::from(signal) == libc::SIGKILL && self.oom.grew(),
                ..ExitInfo::default()
            },
        }
    }

    fn ended(&mut self, session: SessionId, info: ExitInfo) {
        let Some(server) = self.servers.remove(&session) else {
            return;
        };
        if let Some(answer) = server.starting {
            let _ = answer.send(Err(RuntimeError::new(
                ErrorCode::SpawnFailed,
                format!("the server did not start: {info}"),
            )));
        }
        if server.kind == ServerKind::Http {
            self.http.send_replace(HttpState::Exited(info.clone()));
            // Nobody listening means that nobody reconciles: the DTMA is ending.
            let _ = self.config.exits.send(self.config.instance);
        }
        server.exit.send_replace(Some(info));
    }

    /// After the connection broke: if the container does not run, neither does anything in it.
    async fn container_may_be_gone(&mut self) {
        if (self.config.find_pid)().await.is_some() {
            return;
        }
        let info = ExitInfo {
            out_of_memory: self.oom.grew(),
            ..ExitInfo::default()
        };
        let all: Vec<SessionId> = self.servers.keys().copied().collect();
        for session in all {
            self.ended(session, info.clone());
        }
    }
}

async fn signal(control: &AsyncFd<Control>, session: SessionId, number: i32) -> io::Result<()> {
    let Ok(number) = u8::try_from(number) else {
        return Ok(());
    };
    let message = ToInit::Signal {
        session,
        signal: number,
    };
    send(control, &message).await
}

async fn send(control: &AsyncFd<Control>, message: &ToInit<'_>) -> io::Result<()> {
    control
        .async_io(Interest::WRITABLE, |control| {
            control.try_send_plain(message)
        })
        .await
}

fn refuse(command: Command) {
    if let Command::Spawn { answer, .. } = command {
        let _ = answer.send(Err(gone()));
    }
}

fn refused(refusal: &Refusal) -> RuntimeError {
    let code = match refusal.stage {
        Stage::Exec | Stage::Cwd if refusal.errno != libc::E2BIG => ErrorCode::ExecFailed,
        _ => ErrorCode::SpawnFailed,
    };
    RuntimeError::new(code, format!("the server can't be started: {refusal}"))
}
