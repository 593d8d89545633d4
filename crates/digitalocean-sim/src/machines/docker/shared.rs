//! What all parts of the machines share: the engine, who is there, and the steps that a machine's life is
//! made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bollard::query_parameters::CreateContainerOptions;
use bollard::{API_DEFAULT_VERSION, Docker};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::addresses::Addresses;
use super::body::{self, Surroundings};
use super::bridge::Bridge;
use super::disk::{self, Disk};
use super::error::{HostError, engine, is_status};
use super::leftovers;
use super::metadata::{self, Metadata};
use super::resolver;
use super::sole::Sole;
use super::{DockerOptions, HostMount, MOST_MACHINES};
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
    machines: Mutex<BTreeMap<DropletId, Machine>>,
    bridge: tokio::sync::Mutex<Option<Bridge>>,
    metadata: Metadata,
    report: mpsc::UnboundedSender<DropletId>,
    _sole: Sole,
}

/// Whether a machine is to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    On,
    Off,
}

#[derive(Debug)]
struct Machine {
    plan: MachinePlan,
    address: Address,
    power: Power,
    /// Its id, as soon as there is one.
    container: Option<String>,
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
            machines: Mutex::default(),
            bridge: tokio::sync::Mutex::default(),
            metadata: Metadata::default(),
            report,
            _sole: sole,
        })
    }

    /// Writes a machine down, with an address of its own.
    pub(super) fn reserve(&self, plan: &MachinePlan) -> Result<Address, MachineError> {
        let mut machines = self.machines.lock();
        if machines.len() >= MOST_MACHINES {
            return Err(MachineError::TooMany(MOST_MACHINES));
        }
        let taken: BTreeSet<_> = machines.values().map(|it| it.address.ip).collect();
        let address = self.addresses.free(&taken).ok_or(MachineError::NoAddress)?;
        let machine = Machine {
            plan: plan.clone(),
            address,
            power: Power::Off,
            container: None,
        };
        machines.insert(plan.droplet, machine);
        Ok(address)
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
        if let Some(machine) = self.machines.lock().get_mut(&plan.droplet) {
            machine.container = Some(container);
        }
        Ok(())
    }

    /// Turns a machine on, and has the metadata service tell it who it is. Nothing happens to one that is
    /// on.
    pub(super) async fn start(&self, droplet: DropletId) -> Result<(), HostError> {
        let found = self.machines.lock().get(&droplet).and_then(|machine| {
            let container = machine.container.clone()?;
            Some((container, machine.plan.clone(), machine.address))
        });
        let Some((container, plan, address)) = found else {
            return Ok(());
        };
        self.disk(droplet).mount().await?;
        let started = self.docker.start_container(&container, None).await;
        started.map_err(engine("start a machine"))?;
        self.set_power(droplet, Power::On);
        // Known only now, and cloud-init looks for an interface that has it.
        let mac = self.mac(&container).await?;
        let document = metadata::document(&plan, address, &mac);
        self.metadata.publish(address.ip, document);
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
        self.set_power(droplet, Power::Off);
        leftovers::remove_containers(&self.docker, self.addresses, Some(droplet)).await?;
        self.disk(droplet).remove().await?;
        let machine = self.machines.lock().remove(&droplet);
        if let Some(machine) = machine {
            self.metadata.withdraw(machine.address.ip);
            tracing::info!(%droplet, "the machine is gone");
        }
        let mut bridge = self.bridge.lock().await;
        if self.machines.lock().is_empty()
            && let Some(up) = &*bridge
        {
            up.down(&self.docker).await?;
            *bridge = None;
        }
        Ok(())
    }

    pub(super) async fn remove_all(&self) -> Result<(), HostError> {
        for droplet in self.all() {
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

    pub(super) fn all(&self) -> Vec<DropletId> {
        self.machines.lock().keys().copied().collect()
    }

    pub(super) fn power(&self, droplet: DropletId) -> Option<Power> {
        self.machines.lock().get(&droplet).map(|it| it.power)
    }

    pub(super) fn set_power(&self, droplet: DropletId, power: Power) {
        if let Some(machine) = self.machines.lock().get_mut(&droplet) {
            machine.power = power;
        }
    }

    /// It is off, and nobody wanted it.
    pub(super) fn report_stopped(&self, droplet: DropletId) {
        self.set_power(droplet, Power::Off);
        // Nobody listens any more only when all of this ends.
        let _ = self.report.send(droplet);
    }

    /// Its container's id.
    pub(super) fn container(&self, droplet: DropletId) -> Result<String, MachineError> {
        let machines = self.machines.lock();
        let machine = machines.get(&droplet);
        machine
            .and_then(|machine| machine.container.clone())
            .ok_or(MachineError::Unknown(droplet))
    }

    pub(super) fn address(&self, droplet: DropletId) -> Result<Address, MachineError> {
        let machines = self.machines.lock();
        let machine = machines.get(&droplet);
        machine
            .map(|machine| machine.address)
            .ok_or(MachineError::Unknown(droplet))
    }

    /// What the engine says of it; none where it can't be asked or does not know it.
    pub(super) async fn state_of(&self, droplet: DropletId) -> Option<Seen> {
        let container = self.container(droplet).ok()?;
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
