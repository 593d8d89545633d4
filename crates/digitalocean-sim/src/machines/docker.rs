//! Real little machines: behind every droplet a container with systemd, cloud-init and a Docker Engine of
//! its own, on this host. What it was created with runs in it as on DigitalOcean: cloud-init asks the
//! metadata service (`metadata`) and does what the user-data says.
//!
//! ```text
//! container   found by its labels, with an address in the subnet   roster, body, watch
//! disk        ext4 on a loop device, for the engine inside         disk
//! bridge      the network of all, with 169.254.169.254 on it       bridge, metadata
//! ```
//!
//! The host needs root, a Docker Engine, loop devices, `mkfs.ext4`, `mount` and `ip`; the image is
//! `tools/droplet`. Machines are those of one simulator: what one that was killed has left is taken away by
//! the next one on the same subnet, and [`DockerMachines::remove_all`] ends them in order.

mod addresses;
mod body;
mod bridge;
mod command;
mod disk;
mod error;
mod leftovers;
mod metadata;
mod resolver;
mod roster;
mod shared;
mod sole;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::KillContainerOptions;
use futures::StreamExt as _;
use ipnet::Ipv4Net;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::{Address, Limits, MachineError, MachinePlan, Machines, ShutdownOutcome};
use crate::state::DropletId;
use error::{engine, is_status};
use roster::Power;
use shared::Shared;

pub use error::HostError;

/// At most so many machines: more than a small host can carry.
pub const MOST_MACHINES: usize = 20;
/// How long a machine may take to shut down: its tools get ten seconds, and it has to write.
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(60);

/// What machines are made with.
#[derive(Debug, Clone)]
pub struct DockerOptions {
    /// The image, which the engine has already.
    pub image: String,
    /// The network of the machines. Its first address is the host's.
    pub subnet: Ipv4Net,
    /// Where their disks are. Everything in it is taken away.
    pub directory: PathBuf,
    /// Directories and files of the host that every machine sees.
    pub mounts: Vec<HostMount>,
}

/// Something of the host that machines see, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// Where it is.
    pub host: PathBuf,
    /// Where they see it.
    pub machine: PathBuf,
}

/// See the module's header.
#[derive(Debug)]
pub struct DockerMachines {
    shared: Arc<Shared>,
    stopped: tokio::sync::Mutex<mpsc::UnboundedReceiver<DropletId>>,
    watcher: AbortHandle,
}

impl DockerMachines {
    /// Looks whether this host can carry machines, and takes away what an earlier simulator left.
    ///
    /// # Errors
    /// When it can't; the error says what to do.
    pub async fn new(options: DockerOptions) -> Result<Self, HostError> {
        let (report, stopped) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(options, report).await?);
        let watcher = tokio::spawn(watch::follow(Arc::clone(&shared))).abort_handle();
        Ok(Self {
            shared,
            stopped: tokio::sync::Mutex::new(stopped),
            watcher,
        })
    }

    /// Takes all machines away, with everything of theirs.
    ///
    /// # Errors
    /// When the host can't: the next simulator on this subnet tries again.
    pub async fn remove_all(&self) -> Result<(), HostError> {
        self.shared.remove_all().await
    }
}

impl Drop for DockerMachines {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

#[async_trait]
impl Machines for DockerMachines {
    async fn boot(&self, plan: &MachinePlan) -> Result<(), MachineError> {
        let address = self.shared.roster.reserve(plan, self.shared.addresses)?;
        let made = async {
            self.shared.make(plan, address).await?;
            self.shared.start(plan.droplet).await
        };
        if let Err(error) = made.await {
            if let Err(error) = self.shared.destroy(plan.droplet).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(droplet = %plan.droplet, error, "half a machine is left");
            }
            return Err(error);
        }
        tracing::info!(droplet = %plan.droplet, address = %address.ip, "the machine is on");
        Ok(())
    }

    async fn power_off(&self, droplet: DropletId) -> Result<(), MachineError> {
        let container = self.shared.roster.container(droplet)?;
        self.shared.roster.set_power(droplet, Power::Off);
        match self.shared.docker.kill_container(&container, None).await {
            // It does not run.
            Err(error) if is_status(&error, &[409]) => Ok(()),
            killed => Ok(killed.map_err(engine("kill a machine"))?),
        }
    }

    async fn shut_down(&self, droplet: DropletId) -> Result<ShutdownOutcome, MachineError> {
        let container = self.shared.roster.container(droplet)?;
        self.shared.roster.set_power(droplet, Power::Off);
        let signal = KillContainerOptions {
            // systemd halts on it.
            signal: "SIGRTMIN+3".to_owned(),
        };
        let docker = &self.shared.docker;
        match docker.kill_container(&container, Some(signal)).await {
            Err(error) if is_status(&error, &[409]) => return Ok(ShutdownOutcome::Down),
            asked => asked.map_err(engine("signal a machine"))?,
        }
        let mut ended = std::pin::pin!(docker.wait_container(&container, None));
        // The exit code does not matter, and how the engine tells it neither.
        let _ = tokio::time::timeout(SHUT_DOWN_LIMIT, ended.next()).await;
        let state = self.shared.state_of(droplet).await;
        if state.is_some_and(|state| state.is_running) {
            self.shared.roster.set_power(droplet, Power::On);
            return Ok(ShutdownOutcome::StillUp);
        }
        Ok(ShutdownOutcome::Down)
    }

    async fn power_on(&self, droplet: DropletId) -> Result<(), MachineError> {
        self.shared.start(droplet).await
    }

    async fn resize(&self, droplet: DropletId, limits: Limits) -> Result<(), MachineError> {
        let container = self.shared.roster.container(droplet)?;
        let update = body::update(limits, self.shared.processors);
        let docker = &self.shared.docker;
        let updated = docker.update_container(&container, update).await;
        updated.map_err(engine("give a machine other limits"))?;
        Ok(self.shared.disk(droplet).grow(limits.disk).await?)
    }

    async fn destroy(&self, droplet: DropletId) -> Result<(), MachineError> {
        Ok(self.shared.destroy(droplet).await?)
    }

    async fn address(&self, droplet: DropletId) -> Result<Address, MachineError> {
        Ok(self.shared.roster.get(droplet)?.address)
    }

    async fn stopped(&self) -> DropletId {
        match self.stopped.lock().await.recv().await {
            Some(droplet) => droplet,
            None => std::future::pending().await,
        }
    }
}
