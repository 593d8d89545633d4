//! A whole installation for one test. See the crate's header for how it is used.

pub(crate) mod cleanup;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_api::instance::{DeployRequest, Instance};
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::{EnvironmentId, InstanceId};
use anyhow::Context as _;
use parking_lot::Mutex;

use crate::agent::TestAgent;
use crate::api::Api;
use crate::api::instances::deployment;
use crate::cli::Cli;
use crate::control_plane::ControlPlane;
use crate::fixtures::Registry;
use crate::machine::Machine;
use crate::postgres::TestDatabase;
use crate::small_disk::{Filling, SmallDisk};
use crate::{binaries, docker, leaks, ports};

/// From wanted to running, images pulled on the way.
const DEPLOY: Duration = Duration::from_secs(60);
/// From wanted off to gone: tools that ignore SIGTERM cost ten seconds. Less than the minute after
/// which the control plane takes away a machine whose tools can't be wound down.
const DISABLE: Duration = Duration::from_secs(45);

/// How the machine runs tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// As containers.
    Docker,
    /// As child processes.
    Process,
}

/// What the control plane keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite,
    /// A database of its own in the private PostgreSQL.
    Postgres,
}

/// How the cluster is to be.
#[derive(Debug)]
pub struct ClusterBuilder {
    runtime: Runtime,
    database: Database,
    environment: BTreeMap<String, String>,
    small_disk: Option<u16>,
}

/// See the module's header.
#[derive(Debug)]
pub struct Cluster {
    /// The first admin, whose account has the environment of most tests.
    pub admin: Api,
    /// The first replica.
    pub control_plane: ControlPlane,
    runtime: Runtime,
    /// Unmounted before the directory that it is in goes.
    disk: Option<SmallDisk>,
    root: tempfile::TempDir,
    first_port: u16,
    environment: BTreeMap<String, String>,
    replicas: u16,
    owners: Mutex<Vec<Api>>,
    finished: bool,
    /// Dropped last: the processes that use it are gone by then.
    database: Option<TestDatabase>,
}

impl Cluster {
    /// On this very machine (the provider `local`): SQLite and child processes unless told
    /// otherwise.
    #[must_use]
    pub fn local() -> ClusterBuilder {
        ClusterBuilder {
            runtime: Runtime::Process,
            database: Database::Sqlite,
            environment: BTreeMap::new(),
            small_disk: None,
        }
    }
}

impl ClusterBuilder {
    /// How the machine runs tools.
    #[must_use]
    pub const fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// What the control plane keeps its data in.
    #[must_use]
    pub const fn database(mut self, database: Database) -> Self {
        self.database = database;
        self
    }

    /// Puts the data of control plane and machines on a disk of so many mebibytes.
    #[must_use]
    pub const fn small_disk(mut self, mebibytes: u16) -> Self {
        self.small_disk = Some(mebibytes);
        self
    }

    /// A setting of the control plane.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts the control plane and makes the first admin. With Docker, the login at the test
    /// registry is set.
    ///
    /// # Errors
    /// When a part is missing; the error says what to run.
    pub async fn start(self) -> anyhow::Result<Cluster> {
        cleanup::stale().await?;
        let mut environment = self.environment;
        let mut set = |name: &str, value: String| {
            environment.entry(name.to_owned()).or_insert(value);
        };
        let registry = match self.runtime {
            Runtime::Process => None,
            Runtime::Docker => {
                docker::need_engine().await?;
                set("AGENTOPIA_CATALOG_IMAGES", text(&binaries::images()?));
                Some(Registry::from_env()?)
            }
        };
        let root = cleanup::root()?;
        let disk = self
            .small_disk
            .map(|mebibytes| SmallDisk::mount(&root.path().join("data"), mebibytes))
            .transpose()?;
        let first_port = ports::block()?;
        let database = match self.database {
            Database::Sqlite => None,
            Database::Postgres => Some(TestDatabase::create()?),
        };
        if let Some(database) = &database {
            set("DATABASE_URL", database.url());
        }
        set("AGENTOPIA_DTMA_BINARY", text(&binaries::built("dtma")?));
        set(
            "AGENTOPIA_TOOL_INIT_BINARY",
            text(&binaries::static_build("tool-init")?),
        );
        // For `agentopia-echo` as a child process.
        binaries::static_build("agentopia-echo")?;
        set("AGENTOPIA_TOOLS_DIR", text(&binaries::static_dir()?));
        set("AGENTOPIA_LOCAL_FIRST_PORT", (first_port + 10).to_string());
        let runtime = match self.runtime {
            Runtime::Docker => "docker",
            Runtime::Process => "process",
        };
        set("AGENTOPIA_LOCAL_RUNTIME", runtime.to_owned());
        set("AGENTOPIA_DATA_DIR", text(&root.path().join("data")));

        let mut control_plane = replica(0, first_port, root.path(), &environment);
        let admin = Api::anonymous(control_plane.base_url())?;
        control_plane.start().await?;
        let mut cluster = Cluster {
            admin,
            control_plane,
            runtime: self.runtime,
            disk,
            root,
            first_port,
            environment,
            replicas: 1,
            owners: Mutex::default(),
            finished: false,
            database,
        };
        let token = std::fs::read_to_string(cluster.data_dir().join("setup-token"))
            .context("no set-up token was written")?;
        cluster.admin = cluster
            .admin
            .set_up(token.trim(), "admin@example.com")
            .await?;
        cluster.owners.lock().push(cluster.admin.clone());
        if let Some(registry) = registry {
            let Registry {
                host,
                user,
                password,
            } = registry;
            cluster
                .admin
                .put_registry_login(&host, &user, &password)
                .await?;
        }
        Ok(cluster)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The `index`-th replica: ports of its own, everything else the same.
fn replica(
    index: u16,
    first_port: u16,
    root: &Path,
    environment: &BTreeMap<String, String>,
) -> ControlPlane {
    let (public, machines) = (first_port + 2 * index, first_port + 2 * index + 1);
    let mut environment = environment.clone();
    environment.insert("AGENTOPIA_BIND".into(), format!("127.0.0.1:{public}"));
    environment.insert(
        "AGENTOPIA_DTMA_LISTEN".into(),
        format!("127.0.0.1:{machines}"),
    );
    let log = root.join(format!("control-plane-{index}.log"));
    ControlPlane::new(format!("http://127.0.0.1:{public}"), environment, log)
}

impl Cluster {
    /// The control plane's data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Everything of this cluster on disk: data and logs.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Fills the disk of [`ClusterBuilder::small_disk`].
    ///
    /// # Errors
    /// When the cluster has none.
    pub fn fill_disk(&self) -> anyhow::Result<Filling> {
        let disk = self.disk.as_ref();
        disk.context("the cluster has no small disk")?.fill()
    }

    /// Whether tools are containers.
    #[must_use]
    pub fn has_docker(&self) -> bool {
        self.runtime == Runtime::Docker
    }

    /// Where the replica `0` serves machines.
    #[must_use]
    pub fn machines_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.first_port + 1)
    }

    /// Where the replica `index` serves machines.
    #[must_use]
    pub fn replica_machines(&self, index: u16) -> std::net::SocketAddr {
        std::net::SocketAddr::from(([127, 0, 0, 1], self.first_port + 2 * index + 1))
    }

    /// The first port that a machine is offered.
    #[must_use]
    pub fn first_machine_port(&self) -> u16 {
        self.first_port + 10
    }

    /// Another replica on the same database and data directory, not started yet.
    ///
    /// # Errors
    /// On SQLite, which is for one replica.
    pub fn replica(&mut self) -> anyhow::Result<ControlPlane> {
        anyhow::ensure!(self.database.is_some(), "replicas need PostgreSQL");
        let index = self.replicas;
        self.replicas += 1;
        Ok(replica(
            index,
            self.first_port,
            self.root.path(),
            &self.environment,
        ))
    }

    /// Another person with an account of their own.
    ///
    /// # Errors
    /// See [`crate::ApiError`].
    pub async fn user(&self, email: &str) -> anyhow::Result<Api> {
        let user = self.admin.add_user(email).await?;
        self.owners.lock().push(user.clone());
        Ok(user)
    }

    /// The command line, signed in as the admin.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn cli(&self) -> anyhow::Result<Cli> {
        Cli::new(self.control_plane.base_url(), self.admin.token())
    }

    /// Deploys a tool for the admin and waits until it runs.
    ///
    /// # Errors
    /// When it does not.
    pub async fn deploy(&self, catalog: &str) -> anyhow::Result<Instance> {
        self.deploy_with(deployment(catalog)).await
    }

    /// The same with settings.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn deploy_with(&self, request: DeployRequest) -> anyhow::Result<Instance> {
        let instance: Instance = self.admin.post("/api/v1/instances", &request).await?;
        self.running(instance.id).await
    }

    /// Waits until an instance of the admin runs.
    ///
    /// # Errors
    /// When it does not.
    pub async fn running(&self, id: InstanceId) -> anyhow::Result<Instance> {
        self.admin
            .wait_status(id, InstanceStatus::Running, DEPLOY)
            .await
    }

    /// Waits until an instance of the admin is gone, and fails if anything of it is left.
    ///
    /// # Errors
    /// When it stays or leaves something.
    pub async fn removed(&self, id: InstanceId, volume_stays: bool) -> anyhow::Result<()> {
        self.admin
            .wait_status(id, InstanceStatus::Removed, DEPLOY)
            .await?;
        let run_dir = self.machine().await?.run_dir()?;
        leaks::none_of_instance(id, &run_dir, self.has_docker(), volume_stays).await
    }

    /// An agent of the admin with links to instances.
    ///
    /// # Errors
    /// See [`crate::ApiError`].
    pub async fn agent_with(&self, name: &str, linked: &[InstanceId]) -> anyhow::Result<TestAgent> {
        TestAgent::create(&self.admin, name, linked).await
    }

    /// The machine of the admin's environment.
    ///
    /// # Errors
    /// When there is none.
    pub async fn machine(&self) -> anyhow::Result<Machine> {
        self.machine_of(&self.admin).await
    }

    /// The machine of somebody's environment.
    ///
    /// # Errors
    /// When there is none.
    pub async fn machine_of(&self, owner: &Api) -> anyhow::Result<Machine> {
        Ok(Machine::new(
            &self.data_dir(),
            owner.environment().await?.id,
        ))
    }

    /// Everything the product wrote to its logs.
    #[must_use]
    pub fn logs(&self) -> String {
        cleanup::logs(self.root.path())
    }

    /// The end of a test that went well: every environment is turned off, and nothing may be left
    /// on the machine.
    ///
    /// # Errors
    /// With everything that is left.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        if self.control_plane.process().is_none() {
            self.control_plane.start().await?;
        }
        let owners = self.owners.lock().clone();
        for owner in &owners {
            if owner
                .environment()
                .await
                .is_ok_and(|it| it.status != EnvironmentStatus::Deleted)
            {
                owner.disable().await?;
            }
        }
        for owner in &owners {
            if owner.environment().await.is_ok() {
                owner
                    .wait_environment(EnvironmentStatus::Deleted, DISABLE)
                    .await?;
            }
        }
        for environment in self.environments(&owners).await {
            leaks::none(environment, &self.data_dir(), self.has_docker()).await?;
        }
        self.control_plane.stop().await?;
        self.finished = true;
        Ok(())
    }

    async fn environments(&self, owners: &[Api]) -> BTreeSet<EnvironmentId> {
        let mut ids: BTreeSet<_> = cleanup::environments(&self.data_dir())
            .into_iter()
            .collect();
        for owner in owners {
            if let Ok(environment) = owner.environment().await {
                ids.insert(environment.id);
            }
        }
        ids
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.finished || std::env::var_os("AGENTOPIA_TEST_SHOW_LOGS").is_some() {
            cleanup::report(self.root.path());
        }
        if !self.finished {
            // It would start again what is taken away below.
            let _ = self.control_plane.kill();
            cleanup::force(self.root.path());
        }
    }
}
