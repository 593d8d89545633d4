//! Tools as containers of the Docker Engine (20.10 and later), through bollard.
//!
//! Every container is hardened alike ([`body`]), has a network, a user id and a port of its own
//! ([`network`]), runs our `tool-init` as PID 1 and gets configuration and secrets through it and
//! in no other way ([`init`]). The engine is the only store of what was made: names come from the
//! instance's id and labels say the rest ([`names`]), so a DTMA that was killed anywhere finds
//! everything again. The engine may go away at any time: calls fail with `engine_unreachable`, the
//! event stream is opened anew ([`events`]), and what runs keeps being served, because no part of
//! the engine is on the data path.
//!
//! Where to look next: [`lifecycle`] starts, stops and removes; [`observe`] tells what is there; [`package`] makes
//! images of packages.

mod body;
mod cgroup;
mod egress;
mod engine;
mod events;
mod firewall;
mod image;
mod init;
mod lifecycle;
mod listeners;
mod logs;
mod names;
mod network;
mod observe;
mod package;
mod pulled;
mod strays;
mod subnet;
mod usage;
mod volume;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentopia_domain::metrics::Usage;
use agentopia_domain::spec::InstanceSpec;
use agentopia_domain::{EnvironmentId, InstanceId};
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery};
use async_trait::async_trait;
use bollard::{API_DEFAULT_VERSION, Docker};
use dashmap::DashMap;
use futures::stream::BoxStream;
use secrecy::SecretString;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Prepared, Progress, Runtime, RuntimeContext, RuntimeError, RuntimeFacts, RuntimeInstance,
    RuntimeKind, ToolHandle,
};
use events::Events;
use image::ImageConfigs;
use lifecycle::Tool;
use network::Allocation;
use observe::FactsCache;
use package::Builds;
use pulled::Pulled;
use usage::CpuReading;

/// Where the engine listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// How long the engine may take for anything but streams, in seconds.
const ENGINE_TIMEOUT: u64 = 120;
/// Exits that may wait for the reconciler; it looks for itself when it missed some.
const EXIT_BACKLOG: usize = 256;

/// The `docker` runtime.
pub struct DockerRuntime {
    docker: Docker,
    context: RuntimeContext,
    environment: EnvironmentId,
    pulled: Pulled,
    builds: Builds,
    /// What this process started or adopted.
    tools: DashMap<InstanceId, Tool>,
    cpu: DashMap<InstanceId, CpuReading>,
    /// What was allocated by this process; it may not stand in the engine's labels yet.
    reserved: tokio::sync::Mutex<HashMap<InstanceId, Allocation>>,
    /// Configurations of images by image id, which never change.
    images: ImageConfigs,
    facts: FactsCache,
    /// What holds the instances to where they may go.
    egress: DashMap<InstanceId, egress::Guard>,
    /// Where names are looked up that tools may reach.
    upstream: Arc<egress::Upstream>,
    exits: broadcast::Sender<InstanceId>,
    /// How often the engine's event stream ended.
    interruptions: Arc<AtomicU64>,
    epochs: AtomicU64,
    stop: CancellationToken,
}

impl fmt::Debug for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerRuntime")
            .field("environment", &self.environment)
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}

impl Drop for DockerRuntime {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl DockerRuntime {
    /// Connects to the engine at `socket`, agrees on an API version with it, closes the machine's
    /// metadata service to our containers and follows the engine's events from then on.
    ///
    /// # Errors
    /// `EngineUnreachable` if no engine answers there.
    pub async fn connect(
        socket: &Path,
        context: RuntimeContext,
    ) -> Result<Arc<Self>, RuntimeError> {
        let unreachable = |error| engine::failed("connecting to the Docker Engine", &error);
        let docker = Docker::connect_with_unix(
            &socket.to_string_lossy(),
            ENGINE_TIMEOUT,
            API_DEFAULT_VERSION,
        )
        .map_err(unreachable)?
        .negotiate_version()
        .await
        .map_err(unreachable)?;
        let runtime = Arc::new(Self {
            docker,
            environment: context.environment_id,
            pulled: Pulled::open(&context.data_dir),
            builds: Builds::default(),
            egress: DashMap::new(),
            upstream: Arc::new(egress::Upstream::new(&context.dns_servers)),
            context,
            tools: DashMap::new(),
            cpu: DashMap::new(),
            reserved: tokio::sync::Mutex::default(),
            images: ImageConfigs::default(),
            facts: FactsCache::default(),
            exits: broadcast::channel(EXIT_BACKLOG).0,
            interruptions: Arc::default(),
            epochs: AtomicU64::new(1),
            stop: CancellationToken::new(),
        });
        firewall::close_metadata_service().await;
        if let Err(error) = runtime.clear_builds().await {
            tracing::warn!(%error, "builds that were cut off are left for now");
        }
        let events = Events {
            docker: runtime.docker.clone(),
            environment: runtime.environment,
            exits: runtime.exits.clone(),
            interruptions: Arc::clone(&runtime.interruptions),
            ambient: runtime.context.ambient.clone(),
        };
        tokio::spawn(events.follow(runtime.stop.clone()));
        Ok(runtime)
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Docker
    }

    async fn facts(&self) -> RuntimeFacts {
        self.facts.or_ask(Instant::now(), self.engine_facts()).await
    }

    async fn needs_fetch(&self, spec: &InstanceSpec) -> Result<bool, RuntimeError> {
        Ok(self.image_of(spec).await?.is_none())
    }

    async fn build(
        &self,
        spec: &InstanceSpec,
        login: Option<&RegistryLogin>,
        progress: &Progress,
    ) -> Result<(), RuntimeError> {
        body::is_for(spec, self.environment)?;
        match spec.package {
            None => Ok(()),
            Some(_) => self.ensure_image_of(spec, login, progress).await.map(drop),
        }
    }

    async fn prepare(
        &self,
        spec: &InstanceSpec,
        login: Option<&RegistryLogin>,
        progress: &Progress,
    ) -> Result<Prepared, RuntimeError> {
        body::is_for(spec, self.environment)?;
        body::check_volume(spec)?;
        let (prepared, image) = self.ensure_image_of(spec, login, progress).await?;
        let config = image.config.unwrap_or_default();
        body::command(spec, &config)?;
        self.images.keep(&prepared.target, config);
        let allocation = self.allocate(spec).await?;
        if let Some(volume) = spec.volume_of() {
            self.ensure_volume(volume, allocation.uid).await?;
        }
        Ok(prepared)
    }

    async fn start(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        secrets: BTreeMap<String, SecretString>,
    ) -> Result<(), RuntimeError> {
        self.start_instance(spec, prepared, &secrets).await
    }

    async fn adopt(
        &self,
        spec: &InstanceSpec,
        secrets: BTreeMap<String, SecretString>,
    ) -> Result<bool, RuntimeError> {
        self.adopt_instance(spec, &secrets).await
    }

    async fn admit(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        self.hold(spec).await?;
        self.admit_sources(spec).await
    }

    async fn stop(&self, id: InstanceId, grace: Duration) -> Result<(), RuntimeError> {
        self.stop_instance(id, grace).await
    }

    async fn remove(&self, id: InstanceId, purge_data: bool) -> Result<(), RuntimeError> {
        self.remove_instance(id, purge_data).await
    }

    async fn observe(&self) -> Result<Vec<RuntimeInstance>, RuntimeError> {
        self.observe_all().await
    }

    async fn inspect(&self, id: InstanceId) -> Result<Option<RuntimeInstance>, RuntimeError> {
        self.observe_one(id).await
    }

    async fn tool(&self, id: InstanceId) -> Option<ToolHandle> {
        self.tools.get(&id)?.handle(id)
    }

    async fn logs(
        &self,
        id: InstanceId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, RuntimeError> {
        self.open_logs(id, query).await
    }

    async fn last_stderr(&self, id: InstanceId, lines: usize) -> Vec<String> {
        self.last_stderr_lines(id, lines).await
    }

    async fn listeners(&self, id: InstanceId) -> Option<Vec<SocketAddr>> {
        let container = self.container(id).await.ok()??;
        let pid = i32::try_from(container.state?.pid?).ok()?;
        let found = tokio::task::spawn_blocking(move || listeners::of(pid)).await;
        found.ok()?.ok()
    }

    async fn usage(&self, id: InstanceId) -> Option<Usage> {
        self.measure(id).await
    }

    async fn prune(&self, keep: &[InstanceSpec]) -> Result<u64, RuntimeError> {
        let built = self.remove_unused_builds(keep, true).await?;
        self.remove_package_cache().await?;
        Ok(built + self.prune_images(keep).await?)
    }

    async fn tidy(&self, keep: &[InstanceSpec]) -> Result<u64, RuntimeError> {
        self.remove_unused_builds(keep, false).await
    }

    async fn purge_shared(&self) -> Result<(), RuntimeError> {
        self.purge_packages().await
    }

    fn exits(&self) -> broadcast::Receiver<InstanceId> {
        self.exits.subscribe()
    }

    fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::Relaxed)
    }

    async fn shutdown(&self, _grace: Duration) {
        // Containers go on; their tool-init finds the next DTMA by itself.
        self.stop.cancel();
        self.egress.clear();
        let tools: Vec<Tool> = self
            .tools
            .iter()
            .map(|entry| entry.value().clone())
            .collect();
        self.tools.clear();
        for tool in tools {
            tool.link.close().await;
        }
    }
}
