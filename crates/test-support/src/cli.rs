//! The real command line `agentopia`, with a configuration directory of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::binaries;

/// No command of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Somebody at a terminal.
#[derive(Debug)]
pub struct Cli {
    home: tempfile::TempDir,
    url: String,
    token: String,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cli {
    /// Signed in by `AGENTOPIA_URL` and `AGENTOPIA_TOKEN`, or not at all with an empty `token`.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        Ok(Self {
            home: tempfile::tempdir()?,
            url: url.to_owned(),
            token: token.to_owned(),
        })
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a command.
    ///
    /// # Errors
    /// When it can't be run or does not end.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<Ran> {
        self.run_with_input(args, "").await
    }

    /// Runs a command with something on its standard input.
    ///
    /// # Errors
    /// When it can't be run or does not end.
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> anyhow::Result<Ran> {
        let mut child = self.start(args)?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        // A command that does not read ends before this is written.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .with_context(|| format!("`agentopia {}` does not end", args.join(" ")))??;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a command and does not wait: for those that want something of a person on the way.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn start(&self, args: &[&str]) -> anyhow::Result<Child> {
        let mut command = Command::new(binaries::built("agentopia")?);
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("AGENTOPIA_URL", &self.url);
        if !self.token.is_empty() {
            command.env("AGENTOPIA_TOKEN", &self.token);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("`agentopia` can't be started")
    }

    /// Runs a command that has to succeed, with `-o json`, and reads its answer.
    ///
    /// # Errors
    /// When it fails or says something else.
    pub async fn json<T: DeserializeOwned>(&self, args: &[&str]) -> anyhow::Result<T> {
        let args = [args, &["-o", "json"]].concat();
        let ran = self.run(&args).await?;
        anyhow::ensure!(ran.code == 0, "agentopia {}: {ran:?}", args.join(" "));
        serde_json::from_str(&ran.stdout)
            .with_context(|| format!("agentopia {}: {}", args.join(" "), ran.stdout))
    }
}
