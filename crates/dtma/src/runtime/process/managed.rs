//! One instance that was started: a recipe for sessions' processes, or one HTTP server.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::catalog::Transport;
use agentopia_dtma_api::to_dtma::LogStream;
use async_trait::async_trait;
use nix::unistd::Pid;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::broadcast;

use super::command::Recipe;
use super::log::Log;
use super::session::{Process, Session};
use super::spawn::Spawner;
use super::sweep;
use crate::runtime::{
    ErrorCode, ExitInfo, Quota, RunState, RuntimeError, RuntimeInstance, StdioSession,
    StdioSpawner, ToolChannel, ToolHandle,
};

/// How long what is being replaced gets to end.
pub(super) const REPLACE_GRACE: Duration = Duration::from_secs(5);

/// See the module's header.
#[derive(Debug)]
pub(super) struct Managed {
    recipe: Recipe,
    epoch: u64,
    log: Arc<Log>,
    spawner: Spawner,
    processes: Mutex<HashMap<u64, Arc<Process>>>,
    next: AtomicU64,
    state: Mutex<State>,
    me: Weak<Self>,
}

#[derive(Debug)]
enum State {
    Stdio,
    Http { process: Arc<Process>, port: u16 },
    Stopped,
}

impl Managed {
    pub(super) async fn start(
        recipe: Recipe,
        epoch: u64,
        log: Arc<Log>,
        spawner: Spawner,
        exits: broadcast::Sender<InstanceId>,
    ) -> Result<Arc<Self>, RuntimeError> {
        let is_http = !matches!(recipe.transport, Transport::Stdio { .. });
        let managed = Arc::new_cyclic(|me| Self {
            recipe,
            epoch,
            log,
            spawner,
            processes: Mutex::default(),
            next: AtomicU64::new(0),
            state: Mutex::new(State::Stdio),
            me: me.clone(),
        });
        if is_http {
            managed.start_http(exits).await?;
        }
        Ok(managed)
    }

    async fn start_http(
        self: &Arc<Self>,
        exits: broadcast::Sender<InstanceId>,
    ) -> Result<(), RuntimeError> {
        let port = free_port()?;
        let mut child = self.spawn(Some(port), &BTreeMap::new()).await?;
        // Nothing is said to an HTTP server this way; what it says is log.
        drop(child.stdin.take());
        if let Some(stdout) = child.stdout.take() {
            self.log.follow(LogStream::Stdout, stdout);
        }
        let (_, process) = self.register(child)?;
        let mut exit = process.exit();
        *self.state.lock() = State::Http { process, port };
        let id = self.recipe.instance_id;
        tokio::spawn(async move {
            // Ends with an error when the process is forgotten: it was stopped.
            if exit.wait_for(Option::is_some).await.is_ok() {
                let _ = exits.send(id);
            }
        });
        Ok(())
    }

    /// A process of this instance, with its stderr going to the log.
    async fn spawn(
        &self,
        port: Option<u16>,
        own: &BTreeMap<String, SecretString>,
    ) -> Result<tokio::process::Child, RuntimeError> {
        let command = self.recipe.command(port, own)?;
        let mut child = self
            .spawner
            .spawn(command)
            .await?
            .map_err(|error| self.recipe.failed(&error))?;
        if let Some(stderr) = child.stderr.take() {
            self.log.follow(LogStream::Stderr, stderr);
        }
        Ok(child)
    }

    fn register(&self, child: tokio::process::Child) -> Result<(u64, Arc<Process>), RuntimeError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let me = self.me.clone();
        let process = Process::watch(child, move || {
            if let Some(me) = me.upgrade() {
                me.processes.lock().remove(&number);
            }
        })
        .ok_or_else(|| RuntimeError::new(ErrorCode::SpawnFailed, "the tool ended at once"))?;
        // It may have ended already; then nobody would remove it again.
        if process.exit().borrow().is_none() {
            self.processes.lock().insert(number, Arc::clone(&process));
        }
        Ok((number, process))
    }

    pub(super) fn handle(&self) -> Option<ToolHandle> {
        let channel = match (&*self.state.lock(), &self.recipe.transport) {
            (State::Stdio, Transport::Stdio { processes }) => ToolChannel::Stdio {
                spawner: self.me.upgrade()?,
                processes: *processes,
            },
            (State::Http { process, port }, Transport::StreamableHttp { path, .. })
                if process.exit().borrow().is_none() =>
            {
                ToolChannel::Http {
                    address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
                    path: path.clone(),
                }
            }
            (State::Http { process, port }, Transport::Sse { path, .. })
                if process.exit().borrow().is_none() =>
            {
                ToolChannel::Sse {
                    address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
                    path: path.clone(),
                }
            }
            _ => return None,
        };
        Some(ToolHandle {
            instance_id: self.recipe.instance_id,
            epoch: self.epoch,
            channel,
        })
    }

    pub(super) fn describe(&self) -> RuntimeInstance {
        let (state, container_id, port) = match &*self.state.lock() {
            State::Stdio => (RunState::Running, None, None),
            State::Http { process, port } => {
                let state = match &*process.exit().borrow() {
                    None => RunState::Running,
                    Some(info) => RunState::Exited(info.clone()),
                };
                let id = format!("process:{}", process.group());
                (state, Some(id), Some(*port))
            }
            State::Stopped => (RunState::Exited(ExitInfo::default()), None, None),
        };
        RuntimeInstance {
            instance_id: self.recipe.instance_id,
            generation: self.recipe.generation,
            spec_hash: self.recipe.spec_hash.clone(),
            container_id,
            image_digest: None,
            port,
            state,
        }
    }

    /// The process groups that run now.
    pub(super) fn groups(&self) -> Vec<Pid> {
        self.processes
            .lock()
            .values()
            .map(|it| it.group())
            .collect()
    }

    /// Ends every process of the instance, and what they left behind.
    pub(super) async fn stop(&self, grace: Duration) {
        let was = std::mem::replace(&mut *self.state.lock(), State::Stopped);
        if matches!(was, State::Stopped) {
            return;
        }
        let processes: Vec<_> = self.processes.lock().drain().map(|(_, it)| it).collect();
        let ends = processes
            .iter()
            .map(|process| process.terminate(Duration::ZERO, grace));
        futures::future::join_all(ends).await;
        sweep::end(sweep::Marked::Instance(self.recipe.instance_id)).await;
    }
}

#[async_trait]
impl StdioSpawner for Managed {
    fn quotas(&self) -> Vec<Quota> {
        // Child processes have no limits of their own.
        Vec::new()
    }

    async fn open_with(
        &self,
        own: &BTreeMap<String, SecretString>,
    ) -> Result<StdioSession, RuntimeError> {
        let stopped = || {
            RuntimeError::new(
                ErrorCode::NotRunning,
                "the tool is not running; start it first",
            )
        };
        if matches!(*self.state.lock(), State::Stopped) {
            return Err(stopped());
        }
        let mut child = self.spawn(None, own).await?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (_, process) = self.register(child)?;
        // A stop that came in between has not seen this process.
        if matches!(*self.state.lock(), State::Stopped) {
            process.terminate(Duration::ZERO, Duration::ZERO).await;
            return Err(stopped());
        }
        Session::open(pipes, process)
    }
}

/// A port that nothing listens on. Another program may take it before the tool does; the tool then
/// ends, and is started again with another one.
fn free_port() -> Result<u16, RuntimeError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| {
            RuntimeError::new(ErrorCode::PortTaken, format!("no port is free: {error}"))
        })
}
