//! The provider `local`: this very machine is the environment (ENV-5).
//!
//! "Making a machine" means starting a real `dtma` process with a directory of its own, which then
//! enrols like one on any other machine. The process is put in a session of its own, so that it
//! outlives the control plane: tools go on serving while that restarts. It writes its process id
//! with its start time, so that a stranger with the same number is never taken for it.
//!
//! Directory of one machine, `<root>/<environment id>/` (mode 0700): `dtma.toml`, `token` (until
//! it was used), `dtma.log`, and `data/`, which is the DTMA's own.

mod files;
mod process;
mod verify;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::ProviderKind;
use agentopia_domain::verification::Check;
use async_trait::async_trait;

use crate::{
    Deletion, Machine, MachineProvider, MachineRequest, MachineState, ProviderError, Sought,
};
use files::MachineDir;

/// How a `dtma` is started on this machine.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Where the machines' directories are.
    pub root: PathBuf,
    /// The `dtma` program.
    pub dtma: PathBuf,
    /// The `tool-init` program (static), for the `docker` runtime.
    pub tool_init: Option<PathBuf>,
    /// Where the `process` runtime looks for tools that are named without a path.
    pub tools_dir: Option<PathBuf>,
    /// `auto`, `docker` or `process`.
    pub runtime: String,
    /// The first port to try; the next free one is taken.
    pub first_port: u16,
}

/// See the module's header.
#[derive(Debug)]
pub struct LocalProvider {
    config: LocalConfig,
}

/// How many ports from the first one are tried.
const PORT_RANGE: u16 = 1000;

impl LocalProvider {
    /// Nothing is started or written before a machine is asked for.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        Self { config }
    }

    fn dir(&self, environment: EnvironmentId) -> MachineDir {
        MachineDir::new(self.config.root.join(environment.to_string()))
    }

    fn machine(environment: EnvironmentId, state: MachineState) -> Machine {
        Machine {
            id: format!("local-{environment}"),
            state,
            address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            region: None,
            size: None,
            image: None,
            disk_bytes: None,
            monthly_price_cents: None,
            created_at: None,
        }
    }

    fn launch(&self, dir: &MachineDir) -> Result<(), ProviderError> {
        process::launch(&self.config.dtma, dir)
    }
}

#[async_trait]
impl MachineProvider for LocalProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Local
    }

    async fn find(&self, sought: Sought<'_>) -> Result<Option<Machine>, ProviderError> {
        let environment = sought.environment;
        let dir = self.dir(environment);
        if !dir.is_complete() {
            return Ok(None);
        }
        let running = process::is_running(&dir);
        let state = if running {
            MachineState::Running
        } else {
            MachineState::Off
        };
        Ok(Some(Self::machine(environment, state)))
    }

    async fn create(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        let dir = self.dir(request.environment);
        let port = free_port(self.config.first_port, &self.config.root)?;
        dir.write(request, &self.config, port)?;
        self.launch(&dir)?;
        Ok(Self::machine(request.environment, MachineState::Running))
    }

    async fn rebootstrap(&self, request: &MachineRequest) -> Result<bool, ProviderError> {
        let dir = self.dir(request.environment);
        process::stop(&dir).await?;
        dir.write_token(&request.bootstrap.enrolment_token)?;
        self.launch(&dir)?;
        Ok(true)
    }

    async fn start(&self, sought: Sought<'_>) -> Result<(), ProviderError> {
        let dir = self.dir(sought.environment);
        if process::is_running(&dir) {
            return Ok(());
        }
        self.launch(&dir)
    }

    async fn verify(&self) -> Vec<Check> {
        verify::look(&self.config)
    }

    async fn delete(&self, sought: Sought<'_>) -> Result<Deletion, ProviderError> {
        let dir = self.dir(sought.environment);
        if !dir.exists() {
            return Ok(Deletion::Gone);
        }
        process::stop(&dir).await?;
        if dir.is_complete() {
            process::purge(&self.config.dtma, &dir).await?;
        }
        dir.remove()?;
        Ok(Deletion::Gone)
    }
}

/// The first port that nothing listens on and that no other machine here has been given.
fn free_port(first: u16, root: &Path) -> Result<u16, ProviderError> {
    let taken = files::ports_given(root);
    (first..first.saturating_add(PORT_RANGE))
        .find(|port| {
            !taken.contains(port)
                && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        })
        .ok_or_else(|| {
            ProviderError::Final(format!(
                "no free port from {first} on for the machine's management agent; \
                 set `local_first_port` to another range"
            ))
        })
}
