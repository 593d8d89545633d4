//! Which process serves whom: sessions of the session era and shared processes. `initialize` opens a
//! shared one, `room` sees that there is enough for one more, `sweep` ends what nobody uses.

#![expect(
    clippy::result_large_err,
    reason = "the error is the response itself, moved once on its way out"
)]

mod initialize;
mod room;
mod sweep;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentopia_bridge::{Mode, Pipe, PipeConfig};
use agentopia_domain::catalog::StdioProcesses;
use agentopia_domain::{Ambient, InstanceId};
use agentopia_dtma_api::to_control_plane::OwnSecretsUse;
use agentopia_mcp::Json;
use axum::response::Response;
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::own::{self, OwnSecrets};
use super::process::{self, ProcessConfig};
use super::{DataPathConfig, refusal};
use crate::runtime::{Runtime, StdioSpawner, ToolHandle};

pub(super) use sweep::sweep_in_background;

/// The client that all requests without a session are from, within one process.
pub(super) const NO_SESSION: u64 = 0;

/// A stdio tool that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct StdioTool<'a> {
    pub(super) handle: &'a ToolHandle,
    pub(super) spawner: &'a Arc<dyn StdioSpawner>,
    pub(super) processes: StdioProcesses,
    pub(super) runtime: &'a Arc<dyn Runtime>,
    /// Whose secrets it is to be used with, where not with the instance's own.
    pub(super) own: Option<&'a OwnSecretsUse>,
}

/// A session of the session era.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) instance: InstanceId,
    own: Option<OwnSecretsUse>,
    pub(super) process: Arc<Pipe>,
    /// Its number within the process.
    pub(super) client: u64,
    /// What our own `initialize` of a shared process was answered with.
    pub(super) initialized: Option<Json<'static>>,
    last_used: Mutex<Instant>,
}

impl Session {
    fn is_shared(&self) -> bool {
        self.initialized.is_some()
    }

    fn idle(&self) -> Option<Duration> {
        self.process.idle().map(|_| self.last_used.lock().elapsed())
    }

    fn end(&self) {
        self.process.leave(self.client);
        if !self.is_shared() {
            self.process.close();
        }
    }
}

/// Whom a shared process serves. A process speaks one era for life, and has one set of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SharedKey {
    instance: InstanceId,
    own: Option<OwnSecretsUse>,
    whom: Whom,
}

/// Of those who use an instance with the same secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whom {
    /// Every session of the session era.
    AllSessions,
    /// Every request of the modern era.
    AllModern,
    /// Requests of the modern era with one session key.
    Keyed(String),
}

#[derive(Debug, Clone)]
struct SharedProcess {
    process: Arc<Pipe>,
    /// The start of the instance that it belongs to.
    epoch: u64,
    initialized: Option<Json<'static>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<SharedProcess>>>;

/// All sessions of the machine.
#[derive(Debug)]
pub(super) struct Sessions {
    config: DataPathConfig,
    ambient: Ambient,
    by_id: DashMap<String, Arc<Session>>,
    shared: DashMap<SharedKey, Slot>,
    room: DashMap<InstanceId, Arc<Semaphore>>,
    all: Mutex<Vec<Started>>,
    next_client: AtomicU64,
    secrets: Arc<dyn OwnSecrets>,
    /// Instances that were used with somebody's own secrets: their processes write to one log, which
    /// may outlive them all.
    mixed: DashMap<InstanceId, Arc<AtomicBool>>,
}

/// A process that was started.
#[derive(Debug)]
struct Started {
    instance: InstanceId,
    own: Option<OwnSecretsUse>,
    process: Weak<Pipe>,
}

impl Sessions {
    pub(super) fn new(
        config: DataPathConfig,
        ambient: Ambient,
        secrets: Arc<dyn OwnSecrets>,
    ) -> Self {
        Self {
            config,
            ambient,
            by_id: DashMap::new(),
            shared: DashMap::new(),
            room: DashMap::new(),
            all: Mutex::new(Vec::new()),
            next_client: AtomicU64::new(NO_SESSION + 1),
            secrets,
            mixed: DashMap::new(),
        }
    }

    /// The session with this id, if it lives and belongs to the instance and to those secrets.
    pub(super) fn find(
        &self,
        instance: InstanceId,
        own: Option<&OwnSecretsUse>,
        id: &str,
    ) -> Option<Arc<Session>> {
        let session = Arc::clone(&*self.by_id.get(id)?);
        if session.instance != instance || session.own.as_ref() != own {
            return None;
        }
        if !session.process.runs() {
            self.by_id.remove(id);
            return None;
        }
        *session.last_used.lock() = Instant::now();
        Some(session)
    }

    /// A new session: with a process of its own, or with a part in the shared one.
    pub(super) async fn open(&self, tool: StdioTool<'_>) -> Result<Arc<Session>, Response> {
        let (process, initialized) = match tool.processes {
            StdioProcesses::PerSession => (self.start(tool, Mode::Exclusive).await?, None),
            StdioProcesses::Shared => {
                let shared = self.shared(tool, Whom::AllSessions).await?;
                (shared.process, shared.initialized)
            }
        };
        let client = self.next_client.fetch_add(1, Ordering::Relaxed);
        process.enter(client);
        let session = Arc::new(Session {
            // Unguessable, though whoever could guess would have to be the gateway as well.
            id: hex::encode(self.ambient.random::<16>()),
            instance: tool.handle.instance_id,
            own: tool.own.cloned(),
            process,
            client,
            initialized,
            last_used: Mutex::new(Instant::now()),
        });
        self.by_id.insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// The process for requests of the modern era. Without a key nothing says that two requests may
    /// meet, so each gets a process of its own.
    pub(super) async fn modern(
        &self,
        tool: StdioTool<'_>,
        key: Option<&str>,
    ) -> Result<Arc<Pipe>, Response> {
        let whom = match (tool.processes, key) {
            (StdioProcesses::Shared, _) => Whom::AllModern,
            (StdioProcesses::PerSession, Some(key)) => Whom::Keyed(key.to_owned()),
            (StdioProcesses::PerSession, None) => return self.start(tool, Mode::Shared).await,
        };
        Ok(self.shared(tool, whom).await?.process)
    }

    /// Ends a session.
    pub(super) fn close(&self, session: &Session) {
        self.by_id.remove(&session.id);
        session.end();
    }

    async fn shared(&self, tool: StdioTool<'_>, whom: Whom) -> Result<SharedProcess, Response> {
        let wants_initialize = whom == Whom::AllSessions;
        let key = SharedKey {
            instance: tool.handle.instance_id,
            own: tool.own.cloned(),
            whom,
        };
        let slot = Arc::clone(&*self.shared.entry(key).or_default());
        // Whoever comes while it starts waits here, and then shares it.
        let mut slot = slot.lock().await;
        if let Some(shared) = &*slot
            && shared.process.runs()
            && shared.epoch == tool.handle.epoch
        {
            shared.process.touch();
            return Ok(shared.clone());
        }
        let process = self.start(tool, Mode::Shared).await?;
        let initialized = match wants_initialize {
            true => Some(initialize::once(&process, self.config.initialize).await?),
            false => None,
        };
        let shared = SharedProcess {
            process,
            epoch: tool.handle.epoch,
            initialized,
        };
        *slot = Some(shared.clone());
        Ok(shared)
    }

    async fn start(&self, tool: StdioTool<'_>, mode: Mode) -> Result<Arc<Pipe>, Response> {
        let instance = tool.handle.instance_id;
        let values = own::values(&*self.secrets, tool.own).await?;
        let mixed = Arc::clone(&*self.mixed.entry(instance).or_default());
        if tool.own.is_some() {
            mixed.store(true, Ordering::Relaxed);
        }
        self.make_room(tool).await;
        let permit = self.permit(instance).await?;
        let config = ProcessConfig {
            pipe: PipeConfig {
                instance,
                mode,
                input_patience: self.config.stdin_patience,
                client_patience: self.config.client_patience,
            },
            limits: self.config.limits,
            runtime: Arc::clone(tool.runtime),
            mixed,
            permit: Some(permit),
        };
        let process = process::open(tool.spawner, &values, config)
            .await
            .map_err(|error| refusal::runtime(&error))?;
        self.all.lock().push(Started {
            instance,
            own: tool.own.cloned(),
            process: Arc::downgrade(&process),
        });
        Ok(process)
    }

    fn of(&self, instance: Option<InstanceId>) -> Vec<Arc<Pipe>> {
        let all = self.all.lock();
        all.iter()
            .filter(|one| instance.is_none_or(|instance| instance == one.instance))
            .filter_map(|one| one.process.upgrade())
            .collect()
    }

    /// Of which links' own secrets there are processes.
    pub(super) fn uses(&self) -> Vec<OwnSecretsUse> {
        let all = self.all.lock();
        let uses: HashSet<&OwnSecretsUse> = all
            .iter()
            .filter(|one| one.process.upgrade().is_some_and(|it| it.runs()))
            .filter_map(|one| one.own.as_ref())
            .collect();
        uses.into_iter().cloned().collect()
    }

    /// Ends everything that has these secrets.
    pub(super) fn end(&self, over: &OwnSecretsUse) {
        for one in &*self.all.lock() {
            if one.own.as_ref() == Some(over)
                && let Some(process) = one.process.upgrade()
            {
                process.close();
            }
        }
        self.by_id
            .retain(|_, session| session.own.as_ref() != Some(over));
        self.shared.retain(|key, _| key.own.as_ref() != Some(over));
        tracing::info!(instance = %over.instance_id, link = %over.own.link, "a link's own secrets are no longer to be used: ended its sessions");
    }

    pub(super) fn processes(&self, instance: InstanceId) -> usize {
        self.room.get(&instance).map_or(0, |room| {
            self.config
                .most_processes
                .saturating_sub(room.available_permits())
        })
    }

    pub(super) fn forget(&self, instance: InstanceId) {
        for process in self.of(Some(instance)) {
            process.close();
        }
        self.by_id.retain(|_, session| session.instance != instance);
        self.shared.retain(|key, _| key.instance != instance);
    }

    pub(super) async fn close_all(&self) {
        let all = self.of(None);
        for process in &all {
            process.close();
        }
        self.by_id.clear();
        self.shared.clear();
        for process in all {
            process.wait_gone().await;
        }
    }
}
