//! DigitalOcean on this very machine: a real `digitalocean-sim` whose droplets are real little machines,
//! what it is asked from outside, and what a test does behind everybody's back.

mod turn;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::api::http_client;
use crate::cluster::cleanup;
use crate::droplet::Droplet;
use crate::process::Process;
use crate::wait::wait_for;
use crate::{binaries, docker, ports};

/// The token that may do everything, unless settings say otherwise.
pub const TOKEN: &str = "dop_v1_simulated_full_access";
/// The network of the machines, and this host in it. `script/services` has a registry there.
pub const SUBNET: &str = "10.77.0.0/24";
/// See [`SUBNET`].
pub const GATEWAY: &str = "10.77.0.1";
/// The label of all that belongs to machines, with the subnet as its value.
pub(crate) const LABEL: &str = "digitalocean-sim.subnet";

/// It takes away what an earlier one left before it answers.
const START: Duration = Duration::from_secs(60);
/// It takes its machines away first.
const STOP: Duration = Duration::from_secs(60);
/// How long things take that are not the machine's business: nothing, so that what is measured is ours.
const SETTINGS: &str = r#"
[settings.delays]
create = "0s"
address = "0s"
power = "0s"
shutdown = "0s"
resize = "0s"
other_action = "0s"
status = "0s"
delete = "0s"
tag_list = "0s"
list = "0s"
firewall = "0s"
"#;

/// See the module's header.
#[derive(Debug)]
pub struct Simulator {
    http: reqwest::Client,
    api: String,
    admin: String,
    child: Option<Child>,
}

impl Simulator {
    /// Starts it with a directory of its own, for a test without a control plane.
    ///
    /// # Errors
    /// When a part is missing, or it does not come up; with the end of its log.
    pub async fn start_alone() -> anyhow::Result<(Self, tempfile::TempDir)> {
        let root = cleanup::root()?;
        let simulator = Self::start(root.path(), ports::block()?).await?;
        Ok((simulator, root))
    }

    /// Starts it on `port` and the next one, with its log and settings in `root`, a directory that
    /// is named after this process. Waits for another run of these tests that has machines, and takes
    /// away what one that was killed has left.
    ///
    /// # Errors
    /// When a part is missing, or it does not come up; with the end of its log.
    pub(crate) async fn start(root: &Path, port: u16) -> anyhow::Result<Self> {
        turn::wait().await?;
        cleanup::stale().await?;
        let certificates = binaries::from_scripts("AGENTOPIA_TEST_TLS_REGISTRY_CERTIFICATES")?;
        let image = binaries::from_scripts("AGENTOPIA_TEST_DROPLET_IMAGE")?;
        let mount = format!("{certificates}:/etc/docker/certs.d");
        let machines = [
            "--machines",
            "docker",
            "--machine-subnet",
            SUBNET,
            "--machine-image",
            &image,
            "--machine-mount",
            &mount,
        ];
        Self::launch(root, port, &machines).await
    }

    /// The same with droplets that are entries in a list and nothing more.
    ///
    /// # Errors
    /// When it does not come up; with the end of its log.
    pub async fn without_machines(root: &Path, port: u16) -> anyhow::Result<Self> {
        Self::launch(root, port, &["--machines", "none"]).await
    }

    async fn launch(root: &Path, port: u16, machines: &[&str]) -> anyhow::Result<Self> {
        let settings = root.join("simulator.toml");
        std::fs::write(&settings, SETTINGS)?;
        let log_path = root.join("simulator.log");
        let log = std::fs::File::create(&log_path)?;
        let child = Command::new(binaries::built("digitalocean-sim")?)
            .args(machines)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin", &format!("127.0.0.1:{}", port + 1)])
            .arg("--settings")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("`digitalocean-sim` can't be started")?;
        let mut simulator = Self {
            http: http_client()?,
            api: format!("http://127.0.0.1:{port}"),
            admin: format!("http://127.0.0.1:{}", port + 1),
            child: Some(child),
        };
        wait_for(START, "the simulator to be up", async || {
            if let Some(child) = &mut simulator.child
                && let Some(status) = child.try_wait()?
            {
                let log = std::fs::read_to_string(&log_path)?;
                anyhow::bail!("`digitalocean-sim` ended: {status}\n{log}");
            }
            simulator.creations().await
        })
        .await?;
        Ok(simulator)
    }

    /// `http://host:port` of the API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.api
    }

    /// All droplets as they really are.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn droplets(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.admin("/droplets").await?;
        let list = answer.as_array().or_else(|| answer["droplets"].as_array());
        Ok(list.cloned().unwrap_or_default())
    }

    /// The machine of the only droplet.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub async fn only_droplet(&self) -> anyhow::Result<Droplet> {
        let droplets = self.droplets().await?;
        anyhow::ensure!(
            droplets.len() == 1,
            "there is not one droplet: {droplets:?}"
        );
        let id = droplets[0]["id"].as_u64().context("it has no id")?;
        Droplet::of(id).await
    }

    /// What was created, by tag: `{"env:…": {"requests": 1, "droplets": […]}}`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn creations(&self) -> anyhow::Result<Value> {
        self.admin("/creations").await
    }

    /// A list of the API, by its name, such as `firewalls`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn list(&self, what: &str) -> anyhow::Result<Vec<Value>> {
        let body = self.get(&format!("/v2/{what}?per_page=200")).await?;
        Ok(body[what].as_array().cloned().unwrap_or_default())
    }

    /// Reads from the API, as the account's owner.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.get(format!("{}{path}", self.api)))
            .await
    }

    /// Creates a droplet, as the account's owner.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&self, wish: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}/v2/droplets", self.api));
        self.answer(request.json(wish)).await
    }

    /// An action on a droplet that needs no more than its name.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn act(&self, droplet: u64, action: &str) -> anyhow::Result<Value> {
        self.act_with(droplet, &serde_json::json!({ "type": action }))
            .await
    }

    /// An action on a droplet.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn act_with(&self, droplet: u64, action: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/v2/droplets/{droplet}/actions", self.api);
        self.answer(self.http.post(url).json(action)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(TOKEN).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "DigitalOcean says {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Has something go wrong: one rule for resources, as in the simulator's README.
    ///
    /// # Errors
    /// When it is no such rule.
    pub async fn fault(&self, rule: &Value) -> anyhow::Result<()> {
        let url = format!("{}/faults/resource", self.admin);
        let answer = self.http.post(url).json(rule).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// Destroys a droplet behind everybody's back.
    ///
    /// # Errors
    /// When there is none.
    pub async fn destroy(&self, droplet: u64) -> anyhow::Result<()> {
        let url = format!("{}/droplets/{droplet}", self.admin);
        self.http.delete(url).send().await?.error_for_status()?;
        Ok(())
    }

    async fn admin(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self
            .http
            .get(format!("{}{path}", self.admin))
            .send()
            .await?;
        Ok(serde_json::from_slice(
            &answer.error_for_status()?.bytes().await?,
        )?)
    }

    /// SIGTERM; it takes its machines away and ends with success.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("the simulator does not run")?;
        if let Some(process) = Process::of(i32::try_from(child.id())?) {
            process.signal(Signal::SIGTERM);
        }
        let status = wait_for(STOP, "the simulator to end", async || {
            let child = self.child.as_mut().context("it is gone")?;
            child.try_wait()?.context("it still runs")
        })
        .await?;
        self.child = None;
        anyhow::ensure!(status.success(), "the simulator ended with {status}");
        Ok(())
    }
}

impl Simulator {
    /// SIGKILL, and gone when this returns. Its machines go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the simulator does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // A test that failed. Asked kindly, it takes its machines away; the next one would too.
        if let Some(mut child) = self.child.take() {
            if let Some(process) = i32::try_from(child.id()).ok().and_then(Process::of) {
                process.signal(Signal::SIGTERM);
            }
            let _ = child.wait();
        }
    }
}

/// Everything of machines that is on this host: containers, networks, loop devices.
///
/// # Errors
/// When the host can't be asked.
pub async fn left_on_host() -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for what in ["container", "network"] {
        let found = docker::with_label(what, LABEL, SUBNET).await?;
        left.extend(found.into_iter().map(|id| format!("{what} {id}")));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let ours = |line: &&str| line.contains("digitalocean-sim");
    left.extend(
        mounts
            .lines()
            .filter(ours)
            .map(|line| format!("mount {line}")),
    );
    for device in std::fs::read_dir("/sys/block")?.flatten() {
        let file = device.path().join("loop/backing_file");
        match std::fs::read_to_string(&file) {
            Ok(backing) if backing.contains("digitalocean-sim") => {
                left.push(format!("loop device of {}", backing.trim()));
            }
            _ => {}
        }
    }
    Ok(left)
}
