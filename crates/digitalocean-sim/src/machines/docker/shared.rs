//! What all parts of the machines share: the engine, who is there, and the steps that a machine's life is
//! made of.

use std::path::PathBuf;

use bollard::query_parameters::CreateContainerOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::mpsc;

use super::addresses::Addresses;
use super::body::{self, Surroundings};
use super::bridge::Bridge;
use super::disk::{self, Disk};
use super::error::{HostError, engine, is_status};
use super::leftovers;
use super::metadata::{self, Metadata};
use super::resolver;
use super::roster::{Power, Roster};
use super::sole::Sole;
use super::{DockerOptions, HostMount};
use crate::machines::{Address, MachineError, MachinePlan};
use crate::state::DropletId;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// In seconds. Removing a machine with all that its engine had takes a while on a busy host.
const ENGINE_TIMEOUT: u64 = 120;
/// In the machines' directory.
const RESOLVER: &str = "resolv.conf";

/// See the module's header.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) docker: Docker,
    pub(super) addresses: Addresses,
    /// CPUs of the host.
    pub(super) processors: u32,
    image: String,
    directory: PathBuf,
    mounts: Vec<HostMount>,
    pub(super) roster: Roster,
    bridge: tokio::sync::Mutex<Option<Bridge>>,
    metadata: Metadata,
    report: mpsc::UnboundedSender<DropletId>,
    _sole: Sole,
}

/// What the engine says of a machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) is_running: bool,
    /// Of its last end.
    pub(super) exit_code: i64,
}

impl Shared {
    pub(super) async fn new(
        options: DockerOptions,
        report: mpsc::UnboundedSender<DropletId>,
    ) -> Result<Self, HostError> {
        let docker = connect().await?;
        let addresses = Addresses::new(options.subnet);
        let sole = Sole::hold(addresses)?;
        match docker.inspect_image(&options.image).await {
            Err(error) if is_status(&error, &[404]) => {
                return Err(HostError::NoImage(options.image));
            }
            found => found.map_err(engine("look for the image of machines"))?,
        };
        let directory = options.directory.join(addresses.bridge());
        disk::make_dir(&directory)?;
        leftovers::sweep(&docker, addresses, &directory).await?;
        resolver::write(&directory.join(RESOLVER))?;
        let processors = docker.info().await.map_err(engine("tell its CPUs"))?.ncpu;
        Ok(Self {
            docker,
            addresses,
            processors: processors.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            image: options.image,
            directory,
            mounts: options.mounts,
            roster: Roster::default(),
            bridge: tokio::sync::Mutex::default(),
            metadata: Metadata::default(),
            report,
            _sole: sole,
        })
    }

    /// Makes a machine that was written down. What is there of it when this fails is left to
    /// [`Self::destroy`].
    pub(super) async fn make(&self, plan: &MachinePlan, address: Address) -> Result<(), HostError> {
        self.connect_network().await?;
        let disk = self.disk(plan.droplet);
        disk.make(plan.limits.disk).await?;
        let subnet = self.addresses.subnet().to_string();
        let definition = body::container(
            plan,
            Surroundings {
                image: &self.image,
                subnet: &subnet,
                network: &self.addresses.bridge(),
                address,
                docker: &disk.docker(),
                resolver: &self.directory.join(RESOLVER),
                mounts: &self.mounts,
                processors: self.processors,
            },
        );
        let name = CreateContainerOptions {
            name: Some(format!("{}-{}", self.addresses.bridge(), plan.droplet)),
            ..CreateContainerOptions::default()
        };
        let made = self.docker.create_container(Some(name), definition).await;
        let container = made.map_err(engine("make a machine"))?.id;
        self.roster.made(plan.droplet, container);
        Ok(())
    }

    /// Turns a machine on, and has the metadata service tell it who it is. Nothing happens to one that is
    /// on.
    pub(super) async fn start(&self, droplet: DropletId) -> Result<(), MachineError> {
        let (container, machine) = (self.roster.container(droplet)?, self.roster.get(droplet)?);
        self.disk(droplet).mount().await?;
        let started = self.docker.start_container(&container, None).await;
        started.map_err(engine("start a machine"))?;
        self.roster.set_power(droplet, Power::On);
        // Known only now, and cloud-init looks for an interface that has it.
        let mac = self.mac(&container).await?;
        let document = metadata::document(&machine.plan, machine.address, &mac);
        self.metadata.publish(machine.address.ip, document);
        // It may have ended before anybody wanted it on.
        if self
            .state_of(droplet)
            .await
            .is_some_and(|it| !it.is_running)
        {
            self.report_stopped(droplet);
        }
        Ok(())
    }

    async fn mac(&self, container: &str) -> Result<String, HostError> {
        let seen = self.docker.inspect_container(container, None).await;
        let networks = seen
            .map_err(engine("look at a machine"))?
            .network_settings
            .and_then(|settings| settings.networks);
        networks
            .and_then(|mut networks| networks.remove(&self.addresses.bridge()))
            .and_then(|endpoint| endpoint.mac_address)
            .filter(|mac| !mac.is_empty())
            .ok_or(HostError::Untold("hardware address"))
    }

    /// Takes a machine away with everything of it, and the network with the last one.
    pub(super) async fn destroy(&self, droplet: DropletId) -> Result<(), HostError> {
        self.roster.set_power(droplet, Power::Off);
        leftovers::remove_containers(&self.docker, self.addresses, Some(droplet)).await?;
        self.disk(droplet).remove().await?;
        if let Some(machine) = self.roster.remove(droplet) {
            self.metadata.withdraw(machine.address.ip);
            tracing::info!(%droplet, "the machine is gone");
        }
        let mut bridge = self.bridge.lock().await;
        if self.roster.is_empty()
            && let Some(up) = &*bridge
        {
            up.down(&self.docker).await?;
            *bridge = None;
        }
        Ok(())
    }

    pub(super) async fn remove_all(&self) -> Result<(), HostError> {
        for droplet in self.roster.all() {
            self.destroy(droplet).await?;
        }
        leftovers::sweep(&self.docker, self.addresses, &self.directory).await?;
        std::fs::remove_dir_all(&self.directory).map_err(disk::file("remove", &self.directory))
    }

    async fn connect_network(&self) -> Result<(), HostError> {
        let mut bridge = self.bridge.lock().await;
        if bridge.is_none() {
            let metadata = self.metadata.router();
            *bridge = Some(Bridge::up(&self.docker, self.addresses, metadata).await?);
        }
        Ok(())
    }

    pub(super) fn disk(&self, droplet: DropletId) -> Disk {
        Disk::of(&self.directory, droplet)
    }

    /// It is off, and nobody wanted it.
    pub(super) fn report_stopped(&self, droplet: DropletId) {
        self.roster.set_power(droplet, Power::Off);
        // Nobody listens any more only when all of this ends.
        let _ = self.report.send(droplet);
    }

    /// What the engine says of it; none where it can't be asked or does not know it.
    pub(super) async fn state_of(&self, droplet: DropletId) -> Option<Seen> {
        let container = self.roster.container(droplet).ok()?;
        let seen = self.docker.inspect_container(&container, None).await.ok()?;
        let state = seen.state?;
        Some(Seen {
            is_running: state.running.unwrap_or_default(),
            exit_code: state.exit_code.unwrap_or_default(),
        })
    }
}

async fn connect() -> Result<Docker, HostError> {
    let failed = engine("be reached: start one with script/services up docker");
    let socket = match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => match host.strip_prefix("unix://") {
            Some(path) => path.to_owned(),
            None => return Err(HostError::NotLocal(host)),
        },
        _ => DEFAULT_SOCKET.to_owned(),
    };
    let docker = Docker::connect_with_unix(&socket, ENGINE_TIMEOUT, API_DEFAULT_VERSION);
    docker
        .map_err(&failed)?
        .negotiate_version()
        .await
        .map_err(&failed)
}
