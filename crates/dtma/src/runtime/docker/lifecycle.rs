//! Starting, adopting, stopping and removing one instance. Each step looks at what is there first,
//! so that a DTMA that was killed between any two of them goes on where it was.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::catalog::Transport;
use agentopia_domain::spec::InstanceSpec;
use bollard::models::{ContainerInspectResponse, ImageConfig};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StopContainerOptions,
};
use futures::{FutureExt as _, StreamExt as _};
use secrecy::SecretString;
use tokio::time::timeout;

use super::body::{self, HostPaths};
use super::init::{HttpState, InitLink, Launch, LinkConfig, Spawner};
use super::network::Allocation;
use super::{DockerRuntime, engine, firewall, names, strays};
use crate::runtime::{ErrorCode, Prepared, RuntimeError, ToolChannel, ToolHandle, spec_hash};

/// From the start of a container to its tool-init's first word; normally milliseconds.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a tool-init that runs may take to find a restarted DTMA.
const RECONNECT: Duration = Duration::from_secs(10);
/// Lines of stderr in an error.
const ERROR_LINES: usize = 10;

/// A tool that this process started or adopted.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    pub(super) link: Arc<InitLink>,
    /// The generation that it serves; the container's label may be older, if nothing that the
    /// container is made of changed.
    pub(super) generation: i64,
    epoch: u64,
    channel: ToolChannel,
}

impl Tool {
    /// How to reach it, if it runs.
    pub(super) fn handle(&self, instance_id: InstanceId) -> Option<ToolHandle> {
        let serves = match self.channel {
            ToolChannel::Stdio { .. } => true,
            ToolChannel::Http { .. } | ToolChannel::Sse { .. } => {
                self.link.http() == HttpState::Running
            }
        };
        (serves && self.link.is_connected()).then(|| ToolHandle {
            instance_id,
            epoch: self.epoch,
            channel: self.channel.clone(),
        })
    }
}

impl DockerRuntime {
    pub(super) async fn start_instance(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<(), RuntimeError> {
        body::is_for(spec, self.environment)?;
        let id = spec.instance_id;
        let image = self.image_config(&prepared.target).await?;
        let launch = Arc::new(Launch::new(
            spec,
            image.env.as_deref().unwrap_or_default(),
            secrets,
        )?);
        let allocation = self.allocate(spec).await?;
        let mut existing = self.container(id).await?;
        // A container that ran once only starts on the very network that it ran on.
        if let Some(container) = &existing
            && (!is_of(container, spec, prepared) || !self.has_one_network(id).await?)
        {
            self.take_away_container(id).await?;
            if spec.direct_access.is_none() && is_published(container) {
                firewall::shut(id).await;
            }
            existing = None;
        }
        // Before the port is open.
        self.admit_sources(spec).await?;
        let running = existing.as_ref().is_some_and(is_running);
        let link = match self.tools.get(&id).map(|tool| Arc::clone(&tool.link)) {
            Some(link) if running => link,
            _ => self.listen(id, allocation).await?,
        };
        if existing.is_none() {
            self.make(spec, prepared, &image, allocation).await?;
        }
        // Before it runs.
        self.hold(spec).await?;
        if !running {
            if let Some(volume) = spec.volume_of() {
                self.own_volume(volume, allocation.uid).await?;
            }
            let name = names::object(id);
            let mut started = self.docker.start_container(&name, None).await;
            // An engine that was killed can be at odds with its containerd over a container ("task
            // already exists"), and then never starts it again: a new one takes its place.
            let is_refused = started
                .as_ref()
                .is_err_and(|error| engine::status(error).is_some());
            if let Some(container) = existing.filter(|_| is_refused) {
                self.take_away_container(id).await?;
                strays::end(container.id.as_deref().unwrap_or_default());
                self.make(spec, prepared, &image, allocation).await?;
                started = self.docker.start_container(&name, None).await;
            }
            started.map_err(|error| engine::failed("starting the container", &error))?;
        }
        let served = self.serve(spec, &link, launch).await;
        if served.is_err() {
            link.close().await;
        }
        served
    }

    /// Makes the container, and the network if it is missing, at the same time: for the engine a
    /// network is more work than a container, and it asks for the network only at the start.
    async fn make(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        image: &ImageConfig,
        allocation: Allocation,
    ) -> Result<(), RuntimeError> {
        let id = spec.instance_id;
        if !spec.egress.is_open() {
            // Its container has to know the address of its resolver.
            self.ensure_network(id, allocation).await?;
        }
        let resolver = self.resolver_of(spec).await?;
        let create = || self.create_container(spec, prepared, image, allocation, resolver);
        // Both to their end, whatever becomes of the other: the engine would finish anyway.
        let (network, created) = tokio::join!(self.ensure_network(id, allocation), create());
        network?;
        match created {
            // An engine that wants the network to be there first has it now.
            Err(_) if self.container(id).await?.is_none() => create().await,
            created => created,
        }
    }

    /// Waits for tool-init, starts an HTTP server, and enters the tool as reachable.
    async fn serve(
        &self,
        spec: &InstanceSpec,
        link: &Arc<InitLink>,
        launch: Arc<Launch>,
    ) -> Result<(), RuntimeError> {
        let id = spec.instance_id;
        self.wait_for_init(id, link).await?;
        let channel = match &spec.transport {
            Transport::Stdio { processes } => ToolChannel::Stdio {
                spawner: Arc::new(Spawner {
                    link: Arc::clone(link),
                    launch,
                }),
                processes: *processes,
            },
            Transport::StreamableHttp { port, path } => {
                let address = self.address(id, *port).await?;
                link.spawn_http(&launch).await?;
                ToolChannel::Http {
                    address,
                    path: path.clone(),
                }
            }
            Transport::Sse { port, path } => {
                let address = self.address(id, *port).await?;
                link.spawn_http(&launch).await?;
                ToolChannel::Sse {
                    address,
                    path: path.clone(),
                }
            }
        };
        self.enter(spec, link, channel);
        Ok(())
    }

    fn enter(&self, spec: &InstanceSpec, link: &Arc<InitLink>, channel: ToolChannel) {
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
        let tool = Tool {
            link: Arc::clone(link),
            generation: spec.generation,
            epoch,
            channel,
        };
        self.tools.insert(spec.instance_id, tool);
    }

    pub(super) async fn adopt_instance(
        &self,
        spec: &InstanceSpec,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<bool, RuntimeError> {
        let id = spec.instance_id;
        let Some(container) = self.container(id).await? else {
            return Ok(false);
        };
        let same = names::spec(labels(&container)) == spec_hash(spec);
        let Some(allocation) = self.allocation(id).await? else {
            return Ok(false);
        };
        if !same || !is_running(&container) {
            return Ok(false);
        }
        if self
            .tools
            .get(&id)
            .is_some_and(|tool| tool.handle(id).is_some())
        {
            return Ok(true);
        }
        let stdio = matches!(spec.transport, Transport::Stdio { .. });
        if stdio
            && !spec
                .secret_names
                .iter()
                .all(|name| secrets.contains_key(name))
        {
            // Every session of it needs them.
            return Ok(false);
        }
        self.hold(spec).await?;
        self.admit_sources(spec).await?;
        let link = self.listen(id, allocation).await?;
        let connected = timeout(RECONNECT, link.connected()).await;
        let found = matches!(connected, Ok(Ok(()))) && (stdio || link.http() == HttpState::Running);
        if !found {
            link.close().await;
            return Ok(false);
        }
        let image = self
            .image_config(container.image.as_deref().unwrap_or_default())
            .await?;
        let env = image.env.unwrap_or_default();
        let launch = Arc::new(Launch::new(spec, &env, secrets)?);
        self.serve(spec, &link, launch).await?;
        Ok(true)
    }

    pub(super) async fn stop_instance(
        &self,
        id: InstanceId,
        grace: Duration,
    ) -> Result<(), RuntimeError> {
        let forgotten = self.tools.remove(&id);
        let stopped = self.stop_container(id, grace).await;
        if let Some((_, tool)) = forgotten {
            tool.link.close().await;
        }
        if stopped? {
            firewall::shut(id).await;
        }
        Ok(())
    }

    /// Lets those reach the instance's direct port whom its spec names, and nobody else.
    pub(super) async fn admit_sources(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        let Some(access) = &spec.direct_access else {
            return Ok(());
        };
        let allocation = self.allocate(spec).await?;
        firewall::admit(spec.instance_id, allocation.port, &access.sources).await
    }

    pub(super) async fn remove_instance(
        &self,
        id: InstanceId,
        purge: bool,
    ) -> Result<(), RuntimeError> {
        if let Some((_, tool)) = self.tools.remove(&id) {
            tool.link.close().await;
        }
        self.cpu.remove(&id);
        self.take_away_container(id).await?;
        // Whatever there was before: a removal that was cut off may have taken the container.
        firewall::shut(id).await;
        self.remove_network(id).await?;
        self.release(id).await;
        self.reserved.lock().await.remove(&id);
        if purge {
            self.purge_volume(id).await?;
        }
        match std::fs::remove_dir_all(self.socket_dir(id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::io(
                "removing the instance's socket directory",
                &error,
            )),
            _ => Ok(()),
        }
    }

    /// Whether its port was published, which it is no longer.
    async fn stop_container(&self, id: InstanceId, grace: Duration) -> Result<bool, RuntimeError> {
        let doing = "stopping the container";
        let Some(container) = self.container(id).await? else {
            return Ok(false);
        };
        let was_published = is_published(&container);
        if !is_running(&container) {
            return Ok(was_published);
        }
        let name = names::object(id);
        if container.state.and_then(|state| state.paused) == Some(true) {
            engine::found(doing, self.docker.unpause_container(&name).await)?;
        }
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptions {
            signal: None,
            t: Some(seconds),
        };
        match self.docker.stop_container(&name, Some(options)).await {
            // 304: it has stopped by itself meanwhile.
            Err(error) if engine::status(&error) != Some(304) => {
                engine::found::<()>(doing, Err(error))?;
            }
            _ => {}
        }
        Ok(was_published)
    }

    /// Removes the container, running or not, with the volumes that nobody named.
    async fn take_away_container(&self, id: InstanceId) -> Result<(), RuntimeError> {
        let doing = "removing the container";
        let name = names::object(id);
        for _ in 0..100 {
            let Some(container) = self.container(id).await? else {
                return Ok(());
            };
            if container.state.and_then(|state| state.paused) == Some(true) {
                engine::found(doing, self.docker.unpause_container(&name).await)?;
            }
            let options = RemoveContainerOptions {
                force: true,
                v: true,
                link: false,
            };
            match self.docker.remove_container(&name, Some(options)).await {
                // 409: a removal that began before goes on; look again.
                Err(error) if engine::status(&error) == Some(409) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                result => {
                    engine::found(doing, result)?;
                }
            }
        }
        Err(RuntimeError::new(
            ErrorCode::EngineFailed,
            "the engine does not finish removing the container",
        ))
    }

    async fn create_container(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        image: &ImageConfig,
        allocation: Allocation,
        resolver: Option<Ipv4Addr>,
    ) -> Result<(), RuntimeError> {
        let tool_init = self.context.tool_init.canonicalize().map_err(|error| {
            RuntimeError::new(
                ErrorCode::Unsupported,
                format!(
                    "{} can't be used as tool-init ({error}): install it with the DTMA",
                    self.context.tool_init.display()
                ),
            )
        })?;
        let socket_dir = self.socket_dir(spec.instance_id);
        let paths = HostPaths {
            tool_init: &tool_init.to_string_lossy(),
            socket_dir: &socket_dir.to_string_lossy(),
        };
        let definition = body::container(spec, prepared, image, allocation, resolver, paths)?;
        let options = CreateContainerOptions {
            name: Some(names::object(spec.instance_id)),
            ..CreateContainerOptions::default()
        };
        self.docker
            .create_container(Some(options), definition)
            .await
            .map(drop)
            .map_err(|error| engine::failed("making the container", &error))
    }

    /// A new link, in place of the one before.
    async fn listen(
        &self,
        id: InstanceId,
        allocation: Allocation,
    ) -> Result<Arc<InitLink>, RuntimeError> {
        if let Some((_, tool)) = self.tools.remove(&id) {
            tool.link.close().await;
        }
        let directory = self.make_socket_dir(id)?;
        let docker = self.docker.clone();
        let name = names::object(id);
        let find_pid = move || {
            let (docker, name) = (docker.clone(), name.clone());
            async move {
                let container = docker.inspect_container(&name, None).await.ok()?;
                let pid = u32::try_from(container.state?.pid?).ok()?;
                (pid > 0).then_some(pid)
            }
            .boxed()
        };
        let config = LinkConfig {
            instance: id,
            socket: directory.join("init.sock"),
            uid: allocation.uid,
            find_pid: Arc::new(find_pid),
            exits: self.exits.clone(),
        };
        InitLink::listen(config).map(Arc::new)
    }

    /// The run directory is the DTMA's alone (0700); the instance's own in it can be entered by
    /// the container's user, to whom it is mounted read-only (tool-init.md, "Security layout").
    fn make_socket_dir(&self, id: InstanceId) -> Result<PathBuf, RuntimeError> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        let failed = |error: std::io::Error| {
            RuntimeError::io("making the instance's socket directory", &error)
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.context.run_dir)
            .map_err(failed)?;
        let directory = self.socket_dir(id);
        match std::fs::create_dir(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        // Whatever the umask made of it.
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))
            .map_err(failed)?;
        Ok(directory)
    }

    pub(super) fn socket_dir(&self, id: InstanceId) -> PathBuf {
        self.context.run_dir.join(id.to_string())
    }

    /// Waits until tool-init is connected, or says why it never will be.
    async fn wait_for_init(&self, id: InstanceId, link: &InitLink) -> Result<(), RuntimeError> {
        let name = names::object(id);
        let mut ended = std::pin::pin!(self.docker.wait_container(&name, None));
        let connected = async {
            tokio::select! {
                connected = link.connected() => connected.map(|()| true),
                _ = ended.next() => Ok(false),
            }
        };
        match timeout(CONNECT, connected).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) => {
                let lines = self.last_stderr_lines(id, ERROR_LINES).await.join("\n");
                Err(RuntimeError::new(
                    ErrorCode::SpawnFailed,
                    format!("the container ended before its tool-init connected: {lines}"),
                ))
            }
            Err(_) => Err(RuntimeError::new(
                ErrorCode::SpawnFailed,
                format!(
                    "the container's tool-init did not connect within {} seconds",
                    CONNECT.as_secs()
                ),
            )),
        }
    }

    /// Where the container is reached from the machine.
    async fn address(&self, id: InstanceId, port: u16) -> Result<SocketAddr, RuntimeError> {
        let container = self.container(id).await?;
        container
            .and_then(|container| container.network_settings?.networks)
            .and_then(|mut networks| networks.remove(&names::object(id))?.ip_address)
            .and_then(|address| address.parse::<IpAddr>().ok())
            .map(|address| SocketAddr::new(address, port))
            .ok_or_else(|| {
                RuntimeError::new(
                    ErrorCode::NotRunning,
                    "the container has no address: it does not run",
                )
            })
    }

    async fn image_config(&self, image: &str) -> Result<ImageConfig, RuntimeError> {
        if let Some(config) = self.images.get(image) {
            return Ok(config);
        }
        let inspected = self
            .docker
            .inspect_image(image)
            .await
            .map_err(|error| engine::failed("looking at the image", &error))?;
        Ok(inspected.config.unwrap_or_default())
    }

    /// Our container of this instance. A container of that name that is not ours is an error.
    pub(super) async fn container(
        &self,
        id: InstanceId,
    ) -> Result<Option<ContainerInspectResponse>, RuntimeError> {
        let name = names::object(id);
        let found = self.docker.inspect_container(&name, None).await;
        let Some(container) = engine::found("looking for the container", found)? else {
            return Ok(None);
        };
        if !names::is_ours(labels(&container), self.environment) {
            return Err(RuntimeError::new(
                ErrorCode::EngineFailed,
                format!("the container {name} is not ours: rename or remove it"),
            ));
        }
        Ok(Some(container))
    }
}

pub(super) fn labels(container: &ContainerInspectResponse) -> Option<&names::Labels> {
    container.config.as_ref()?.labels.as_ref()
}

pub(super) fn is_running(container: &ContainerInspectResponse) -> bool {
    container.state.as_ref().and_then(|state| state.running) == Some(true)
}

/// Whether the container has its direct port on the machine while it runs.
fn is_published(container: &ContainerInspectResponse) -> bool {
    let host = container.host_config.as_ref();
    host.and_then(|host| host.port_bindings.as_ref())
        .is_some_and(|ports| !ports.is_empty())
}

/// Whether the container is what the spec asks for, made from the same image.
fn is_of(container: &ContainerInspectResponse, spec: &InstanceSpec, prepared: &Prepared) -> bool {
    names::spec(labels(container)) == spec_hash(spec)
        && container.image.as_deref() == Some(prepared.target.as_str())
}
