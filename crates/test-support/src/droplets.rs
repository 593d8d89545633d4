//! A whole installation whose machines are droplets: the simulator with real little machines, the control
//! plane, an account. See [`crate::Cluster`] for the one on this very machine.
//!
//! It listens for machines on all addresses: theirs is this host's only while there are machines.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use agentopia_domain::environment::EnvironmentStatus;
use anyhow::Context as _;
use serde_json::Value;

use crate::api::Api;
use crate::cluster::cleanup;
use crate::control_plane::ControlPlane;
use crate::droplet::{self, Droplet};
use crate::fixtures::Registry;
use crate::simulator::{self, GATEWAY, Simulator, TOKEN};
use crate::{binaries, docker, ports};

/// Tools that ignore SIGTERM cost ten seconds, a machine some more.
const DISABLE: Duration = Duration::from_secs(90);

/// See the module's header.
#[derive(Debug)]
pub struct DropletCluster {
    /// The first admin, who has an account.
    pub admin: Api,
    /// The only replica.
    pub control_plane: ControlPlane,
    /// DigitalOcean.
    pub simulator: Simulator,
    root: tempfile::TempDir,
    finished: bool,
}

impl DropletCluster {
    /// Starts all of it. There is no droplet yet.
    ///
    /// # Errors
    /// When a part is missing; the error says what to run.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with settings of the control plane.
    ///
    /// # Errors
    /// When a part is missing; the error says what to run.
    pub async fn start_with(settings_of_test: &[(&str, &str)]) -> anyhow::Result<Self> {
        docker::need_engine().await?;
        let root = cleanup::root()?;
        let first_port = ports::block()?;
        let simulator = Simulator::start(root.path(), first_port).await?;
        let mut environment = settings(root.path(), first_port, &simulator)?;
        let of_test = settings_of_test.iter();
        environment.extend(of_test.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let base_url = format!("http://127.0.0.1:{}", first_port + 2);
        let log = root.path().join("control-plane-0.log");
        let mut control_plane = ControlPlane::new(base_url, environment, log);
        let mut cluster = Self {
            admin: Api::anonymous(control_plane.base_url())?,
            simulator,
            root,
            finished: false,
            control_plane: {
                control_plane.start().await?;
                control_plane
            },
        };
        let token = std::fs::read_to_string(cluster.root.path().join("data/setup-token"));
        let token = token.context("no set-up token was written")?;
        cluster.admin = cluster
            .admin
            .set_up(token.trim(), "admin@example.com")
            .await?;
        let login = Registry::from_env()?;
        let host = binaries::from_scripts("AGENTOPIA_TEST_TLS_REGISTRY")?;
        cluster
            .admin
            .put_registry_login(&host, &login.user, &login.password)
            .await?;
        Ok(cluster)
    }

    /// Everything of this cluster on disk: data and logs.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The machine of the account's environment.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub async fn machine(&self) -> anyhow::Result<Droplet> {
        self.simulator.only_droplet().await
    }

    /// Turns the environment off and waits until it is.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn disable(&self) -> anyhow::Result<()> {
        self.admin.disable().await?;
        self.admin
            .wait_environment(EnvironmentStatus::Deleted, DISABLE)
            .await?;
        Ok(())
    }

    /// What is left of machines: at DigitalOcean, and on this host.
    ///
    /// # Errors
    /// When one of them can't be asked.
    pub async fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = simulator::left_on_host().await?;
        let droplets = self.simulator.droplets().await?;
        left.extend(droplets.iter().map(|droplet| format!("droplet {droplet}")));
        Ok(left)
    }

    /// The end of a test that went well. The environment is off already.
    ///
    /// # Errors
    /// With what is left.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let left = self.left().await?;
        anyhow::ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        self.control_plane.stop().await?;
        self.simulator.stop().await?;
        self.finished = true;
        Ok(())
    }
}

/// What the control plane is told.
fn settings(
    root: &Path,
    first_port: u16,
    simulator: &Simulator,
) -> anyhow::Result<BTreeMap<String, String>> {
    let machines = first_port + 3;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let pairs = [
        ("AGENTOPIA_PROVIDER", "digitalocean".to_owned()),
        ("AGENTOPIA_DATA_DIR", text(&root.join("data"))),
        ("AGENTOPIA_BIND", format!("127.0.0.1:{}", first_port + 2)),
        ("AGENTOPIA_DTMA_LISTEN", format!("0.0.0.0:{machines}")),
        (
            "AGENTOPIA_DTMA_ADVERTISE_URL",
            format!("https://{GATEWAY}:{machines}"),
        ),
        ("AGENTOPIA_DTMA_BINARY", text(&binaries::built("dtma")?)),
        (
            "AGENTOPIA_TOOL_INIT_BINARY",
            text(&binaries::static_build("tool-init")?),
        ),
        ("AGENTOPIA_CATALOG_IMAGES", text(&images(root)?)),
        ("DO_API_TOKEN", TOKEN.to_owned()),
        ("DO_API_URL", simulator.url().to_owned()),
        ("DO_CONTROL_PLANE_RANGES", GATEWAY.to_owned()),
        ("DO_DEFAULT_REGION", "fra1".to_owned()),
        ("DO_DEFAULT_SIZE", "s-1vcpu-2gb".to_owned()),
    ];
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// The images of `script/images` under the name that machines know their registry by.
fn images(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let mut images: Value = serde_json::from_slice(&std::fs::read(binaries::images()?)?)?;
    let (here, there) = (
        Registry::from_env()?.host,
        binaries::from_scripts("AGENTOPIA_TEST_TLS_REGISTRY")?,
    );
    for (_, entry) in images.as_object_mut().into_iter().flatten() {
        let image = entry["image"].as_str().unwrap_or_default();
        entry["image"] = image.replacen(&here, &there, 1).into();
    }
    let path = root.join("images.json");
    std::fs::write(&path, images.to_string())?;
    Ok(path)
}

impl Drop for DropletCluster {
    fn drop(&mut self) {
        if !self.finished || std::env::var_os("AGENTOPIA_TEST_SHOW_LOGS").is_some() {
            cleanup::report(self.root.path());
            droplet::report();
        }
        // It would make again what the simulator, dropped next, takes away.
        let _ = self.control_plane.kill();
    }
}
