//! The machine of one environment on this very machine: its DTMA and its tools, as targets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_domain::{EnvironmentId, InstanceId};
use anyhow::Context as _;

use crate::docker;
use crate::process::{self, Process};
use crate::wait::{HEALED, wait_for};

/// See the module's header.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Which environment.
    pub environment: EnvironmentId,
    dir: PathBuf,
}

impl Machine {
    /// The machine of `environment` below a control plane's data directory.
    #[must_use]
    pub fn new(data_dir: &Path, environment: EnvironmentId) -> Self {
        Self {
            environment,
            dir: data_dir.join("machines").join(environment.to_string()),
        }
    }

    /// Its directory, with `dtma.toml`, `dtma.log` and `data/`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The DTMA, if it lives.
    #[must_use]
    pub fn dtma(&self) -> Option<Process> {
        Process::from_lock(&self.dir.join("data/lock"))
    }

    /// Where its sockets are.
    ///
    /// # Errors
    /// When its configuration can't be read.
    pub fn run_dir(&self) -> anyhow::Result<PathBuf> {
        let text = self.configuration()?;
        let table: toml::Table = toml::from_str(&text)?;
        let dir = table.get("run_dir").and_then(toml::Value::as_str);
        Ok(dir.context("dtma.toml names no run_dir")?.into())
    }

    fn configuration(&self) -> anyhow::Result<String> {
        let path = self.dir.join("dtma.toml");
        std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("dtma.log")).unwrap_or_default()
    }

    /// Kills the DTMA with SIGKILL, and it is gone when this returns.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill_dtma(&self) -> anyhow::Result<Process> {
        let process = self.dtma().context("the DTMA does not run")?;
        process.kill();
        wait_for(Duration::from_secs(5), "the DTMA to be gone", async || {
            anyhow::ensure!(!process.is_alive(), "it lives");
            Ok(())
        })
        .await?;
        Ok(process)
    }

    /// Waits for a DTMA other than `before`: the product starts it again by itself.
    ///
    /// # Errors
    /// When it does not.
    pub async fn dtma_after(&self, before: Process) -> anyhow::Result<Process> {
        wait_for(HEALED, "the DTMA to be started again", async || {
            let now = self.dtma().context("no DTMA runs")?;
            anyhow::ensure!(now != before, "the old one still runs");
            Ok(now)
        })
        .await
    }

    /// Changes a field of `dtma.toml`, as an operator would, and has the DTMA read it: it is killed
    /// and started again by the product.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn configure(
        &self,
        field: &str,
        value: impl Into<toml::Value>,
    ) -> anyhow::Result<()> {
        let mut table: toml::Table = toml::from_str(&self.configuration()?)?;
        table.insert(field.to_owned(), value.into());
        std::fs::write(self.dir.join("dtma.toml"), toml::to_string(&table)?)?;
        let before = self.kill_dtma().await?;
        self.dtma_after(before).await?;
        Ok(())
    }

    /// The container of an instance.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub async fn container(&self, instance: InstanceId) -> anyhow::Result<String> {
        let found =
            docker::with_label("container", docker::INSTANCE, &instance.to_string()).await?;
        anyhow::ensure!(
            found.len() == 1,
            "{} containers of instance {instance}",
            found.len()
        );
        Ok(found[0].clone())
    }

    /// The processes of a tool that runs without Docker: children of the DTMA that work in the
    /// instance's directory.
    ///
    /// # Errors
    /// When the DTMA does not run.
    pub fn tool_processes(&self, instance: InstanceId) -> anyhow::Result<Vec<Process>> {
        let dtma = self.dtma().context("the DTMA does not run")?;
        let of_instance = process::with_variable(&format!("AGENTOPIA_INSTANCE={instance}"));
        let mut children = process::descendants(dtma);
        children.retain(|child| of_instance.contains(child));
        Ok(children)
    }
}
