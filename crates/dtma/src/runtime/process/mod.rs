//! Tools as child processes of the DTMA: for development, on machines where no container engine
//! answers. Says so loudly: a child process is limited, but it is **not isolated** from this
//! machine the way a container is.
//!
//! A child gets an environment of its own (nothing of the DTMA's), a working directory, a process
//! group, resource limits and no-new-privileges ([`confine`]); it dies with the DTMA. After the
//! DTMA was killed, [`sweep`] ends whatever outlived it. stdio servers are one process a session
//! ([`session`]); HTTP servers are one process that is given a free port. Where to look next:
//! [`managed`] is one instance.

mod command;
mod confine;
mod log;
mod managed;
mod session;
mod spawn;
mod sweep;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::metrics::Usage;
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery};
use async_trait::async_trait;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::broadcast;

use super::{
    ErrorCode, Prepared, Progress, RunState, Runtime, RuntimeContext, RuntimeError, RuntimeFacts,
    RuntimeInstance, RuntimeKind, ToolHandle,
};
use crate::files;
use log::Log;
use managed::Managed;
use spawn::Spawner;

/// The `process` runtime.
#[derive(Debug)]
pub struct ProcessRuntime {
    context: RuntimeContext,
    spawner: Spawner,
    instances: Mutex<HashMap<InstanceId, Arc<Managed>>>,
    logs: Mutex<HashMap<InstanceId, Arc<Log>>>,
    epochs: AtomicU64,
    exits: broadcast::Sender<InstanceId>,
    usage: usage::Readings,
}

/// Exits that may wait for the reconciler; it looks for itself when it missed some.
const EXIT_BACKLOG: usize = 256;

impl ProcessRuntime {
    /// Ends what outlived an earlier DTMA of this environment, then is ready.
    ///
    /// # Errors
    /// When the data directory can't be used.
    pub async fn new(context: RuntimeContext) -> Result<Arc<Self>, RuntimeError> {
        tracing::warn!(
            "tools run as plain child processes on this machine, WITHOUT the isolation of \
             containers: no container engine is used. Fine for development; for anything else \
             install Docker and set `runtime = \"docker\"`"
        );
        for directory in ["process", "volumes"] {
            let path = context.data_dir.join(directory);
            files::private_dir(&path)
                .map_err(|error| RuntimeError::io("making the directory of tools", &error))?;
        }
        sweep::end(sweep::Marked::Environment(context.environment_id)).await;
        Ok(Arc::new(Self {
            spawner: Spawner::new(),
            context,
            instances: Mutex::default(),
            logs: Mutex::default(),
            epochs: AtomicU64::new(1),
            exits: broadcast::channel(EXIT_BACKLOG).0,
            usage: usage::Readings::default(),
        }))
    }

    fn work_dir(&self, id: InstanceId) -> PathBuf {
        self.context.data_dir.join("process").join(id.to_string())
    }

    fn volume(&self, id: InstanceId) -> PathBuf {
        self.context.data_dir.join("volumes").join(id.to_string())
    }

    fn managed(&self, id: InstanceId) -> Option<Arc<Managed>> {
        self.instances.lock().get(&id).cloned()
    }

    /// The log of an instance; it outlives restarts of the instance and of the DTMA.
    fn log(&self, id: InstanceId) -> Result<Arc<Log>, RuntimeError> {
        let mut logs = self.logs.lock();
        if let Some(log) = logs.get(&id) {
            return Ok(Arc::clone(log));
        }
        let log = Log::open(&self.work_dir(id), self.context.ambient.clone())
            .map_err(|error| RuntimeError::io("opening the tool's log", &error))?;
        let log = Arc::new(log);
        logs.insert(id, Arc::clone(&log));
        Ok(log)
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Process
    }

    async fn facts(&self) -> RuntimeFacts {
        RuntimeFacts {
            store: Some(self.context.data_dir.clone()),
            ..RuntimeFacts::default()
        }
    }

    async fn needs_fetch(&self, _spec: &InstanceSpec) -> Result<bool, RuntimeError> {
        Ok(false)
    }

    async fn prepare(
        &self,
        spec: &InstanceSpec,
        _login: Option<&RegistryLogin>,
        _progress: &Progress,
    ) -> Result<Prepared, RuntimeError> {
        if spec.direct_access.is_some() {
            return Err(RuntimeError::new(
                ErrorCode::Unsupported,
                "the tool has a port of its own, and without containers this machine can't restrict \
                 who reaches it: install Docker on the machine",
            ));
        }
        if !spec.egress.is_open() {
            return Err(RuntimeError::new(
                ErrorCode::Unsupported,
                format!(
                    "the tool may only go to {}, and without containers this machine can't hold it to that: \
                     install Docker on the machine, or let the tool go everywhere (`open`)",
                    spec.egress
                ),
            ));
        }
        let program = command::find(spec, self.context.tools_dir.as_deref())?;
        let mut directories = vec![self.work_dir(spec.instance_id)];
        if let Some(volume) = spec.volume_of() {
            directories.push(self.volume(volume));
        }
        for path in directories {
            files::private_dir(&path)
                .map_err(|error| RuntimeError::io("making the tool's directory", &error))?;
        }
        Ok(Prepared {
            target: program.to_string_lossy().into_owned(),
            image_digest: None,
            note: None,
        })
    }

    async fn start(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        secrets: BTreeMap<String, SecretString>,
    ) -> Result<(), RuntimeError> {
        let id = spec.instance_id;
        self.stop(id, managed::REPLACE_GRACE).await?;
        let recipe = command::Recipe::new(
            spec,
            prepared.target.clone().into(),
            self.work_dir(id),
            spec.volume_of().map(|volume| self.volume(volume)),
            secrets,
        )?;
        let managed = Managed::start(
            recipe,
            self.epochs.fetch_add(1, Ordering::Relaxed),
            self.log(id)?,
            self.spawner.clone(),
            self.exits.clone(),
        )
        .await?;
        self.instances.lock().insert(id, managed);
        Ok(())
    }

    async fn adopt(
        &self,
        _spec: &InstanceSpec,
        _secrets: BTreeMap<String, SecretString>,
    ) -> Result<bool, RuntimeError> {
        // Children end with the DTMA: there is never anything to take over.
        Ok(false)
    }

    /// Nothing is ever started here that would have to be let in.
    async fn admit(&self, _spec: &InstanceSpec) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stop(&self, id: InstanceId, grace: Duration) -> Result<(), RuntimeError> {
        if let Some(managed) = self.managed(id) {
            managed.stop(grace).await;
        }
        Ok(())
    }

    async fn remove(&self, id: InstanceId, purge_data: bool) -> Result<(), RuntimeError> {
        self.stop(id, managed::REPLACE_GRACE).await?;
        sweep::end(sweep::Marked::Instance(id)).await;
        self.instances.lock().remove(&id);
        if let Some(log) = self.logs.lock().remove(&id) {
            log.end();
        }
        self.usage.forget(id);
        let mut directories = vec![self.work_dir(id)];
        if purge_data {
            directories.push(self.volume(id));
        }
        for path in directories {
            match tokio::fs::remove_dir_all(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RuntimeError::io("removing the tool's directory", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn observe(&self) -> Result<Vec<RuntimeInstance>, RuntimeError> {
        let directory = self.context.data_dir.join("process");
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| RuntimeError::io("listing tools", &error))?;
        let ids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(ids.filter_map(|id| self.look(id)).collect())
    }

    async fn inspect(&self, id: InstanceId) -> Result<Option<RuntimeInstance>, RuntimeError> {
        Ok(self.look(id))
    }

    async fn tool(&self, id: InstanceId) -> Option<ToolHandle> {
        self.managed(id)?.handle()
    }

    async fn logs(
        &self,
        id: InstanceId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, RuntimeError> {
        if !self.work_dir(id).is_dir() {
            return Ok(Box::pin(futures::stream::empty()));
        }
        self.log(id)?.read(query)
    }

    async fn last_stderr(&self, id: InstanceId, lines: usize) -> Vec<String> {
        let log = self.logs.lock().get(&id).cloned();
        match log {
            Some(log) => log.last_stderr(lines).await,
            None => Vec::new(),
        }
    }

    /// It shares the machine's network, where nobody's sockets are told apart.
    async fn listeners(&self, _id: InstanceId) -> Option<Vec<SocketAddr>> {
        None
    }

    async fn usage(&self, id: InstanceId) -> Option<Usage> {
        let managed = self.managed(id)?;
        let volume = self.volume(id);
        self.usage.measure(id, managed.groups(), volume).await
    }

    async fn prune(&self, _keep: &[InstanceSpec]) -> Result<u64, RuntimeError> {
        Ok(0)
    }

    fn exits(&self) -> broadcast::Receiver<InstanceId> {
        self.exits.subscribe()
    }

    fn interruptions(&self) -> u64 {
        // Nothing stands between us and our own children.
        0
    }

    async fn shutdown(&self, grace: Duration) {
        let all: Vec<_> = self.instances.lock().drain().map(|(_, it)| it).collect();
        futures::future::join_all(all.iter().map(|managed| managed.stop(grace))).await;
        sweep::end(sweep::Marked::Environment(self.context.environment_id)).await;
    }
}

impl ProcessRuntime {
    fn look(&self, id: InstanceId) -> Option<RuntimeInstance> {
        if let Some(managed) = self.managed(id) {
            return Some(managed.describe());
        }
        // A directory without processes: of a start that was cut off, or of before a restart.
        self.work_dir(id).is_dir().then(|| RuntimeInstance {
            instance_id: id,
            generation: 0,
            spec_hash: String::new(),
            container_id: None,
            image_digest: None,
            port: None,
            state: RunState::Exited(super::ExitInfo::default()),
        })
    }
}

/// For what can't be, unless a thread of ours died.
fn broken(what: &str) -> RuntimeError {
    RuntimeError::new(ErrorCode::Io, format!("{what} is gone; restart the DTMA"))
}

#[cfg(test)]
mod tests;
