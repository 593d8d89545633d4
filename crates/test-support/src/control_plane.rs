//! One replica of the control plane: a real `agentopia serve`, to be killed, stopped and started
//! again on the same ports and data.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;

use crate::binaries;
use crate::process::Process;
use crate::wait::wait_for;

/// How long a start may take: migrations run on an empty database.
const START: Duration = Duration::from_secs(30);
/// How long a graceful end may take: requests under way get ten seconds.
const STOP: Duration = Duration::from_secs(20);

/// See the module's header.
#[derive(Debug)]
pub struct ControlPlane {
    base_url: String,
    environment: BTreeMap<String, String>,
    log: PathBuf,
    child: Option<Child>,
}

impl ControlPlane {
    /// Nothing is started before [`Self::start`]. `environment` is all it gets besides PATH, HOME
    /// and what leads to the engine.
    #[must_use]
    pub fn new(base_url: String, environment: BTreeMap<String, String>, log: PathBuf) -> Self {
        Self {
            base_url,
            environment,
            log,
            child: None,
        }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where stdout and stderr go.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process, if it lives.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        Process::of(i32::try_from(self.child.as_ref()?.id()).ok()?)
    }

    /// What it will be given when it is started next.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.ready().await
    }

    /// Starts it and does not wait.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.process().is_none(), "it runs already");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = Command::new(binaries::built("agentopia")?);
        command.arg("serve").env_clear().envs(&self.environment);
        for name in ["PATH", "HOME", "DOCKER_HOST", "RUST_LOG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("`agentopia serve` can't be started")?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let http = crate::api::http_client()?;
        let url = format!("{}/ready", self.base_url);
        wait_for(START, "the control plane to be ready", async || {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                anyhow::bail!(
                    "`agentopia serve` ended: {status}; see {}",
                    self.log.display()
                );
            }
            http.get(&url).send().await?.error_for_status()?;
            Ok(())
        })
        .await
    }

    /// SIGKILL, and gone when this returns.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self
            .child
            .take()
            .context("the control plane does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM; it has to end by itself, in time and with success.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let process = self.process().context("the control plane does not run")?;
        process.signal(Signal::SIGTERM);
        let status = wait_for(STOP, "the control plane to end after SIGTERM", async || {
            let child = self.child.as_mut().context("it is gone")?;
            child.try_wait()?.context("it still runs")
        })
        .await?;
        self.child = None;
        anyhow::ensure!(status.success(), "it ended with {status} after SIGTERM");
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
