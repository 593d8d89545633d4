//! The processes: this program again, as one of the parts, or another program.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Until it says where it listens.
const START: Duration = Duration::from_secs(10);
/// Processor time in `/proc` is counted in these (`USER_HZ`, 100 on every Linux that we run on).
const TICK: Duration = Duration::from_millis(10);

/// What this program can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// An MCP server.
    Upstream,
    /// A proxy that does nothing.
    Pass,
    /// The gateway, for one agent.
    Gateway,
    /// The gateway, for many agents with many servers each.
    Crowd,
}

/// Where an MCP endpoint is, and what it wants to be shown.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The endpoint, over plain HTTP.
    pub(super) url: String,
    pub(super) token: Option<String>,
}

impl Place {
    /// Host and port.
    pub(super) fn authority(&self) -> &str {
        let rest = self.url.strip_prefix("http://").unwrap_or(&self.url);
        rest.split('/').next().unwrap_or(rest)
    }

    pub(super) fn path(&self) -> &str {
        let rest = self.url.strip_prefix("http://").unwrap_or(&self.url);
        rest.find('/').map_or("/", |at| &rest[at..])
    }
}

/// A process that listens. It ends with this value.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) place: Place,
    child: Child,
    /// Files of its own, which go with it.
    directory: Option<TempDir>,
}

impl Part {
    /// Starts this program as `role`. It says on one line where it listens, and on another which token
    /// it wants, if any.
    pub(super) async fn start(role: Role, upstream: Option<&str>) -> anyhow::Result<Self> {
        let name = role.to_possible_value().context("a role without a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", name.get_name()]);
        command.args(upstream.iter().flat_map(|url| ["--upstream", url]));
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let said = tokio::time::timeout(START, async {
            let url = lines.next_line().await?.context("it ended")?;
            let token = lines.next_line().await?.context("it ended")?;
            anyhow::Ok((url, token))
        });
        let said = said.await.map_err(anyhow::Error::from).flatten();
        let (url, token) = said.with_context(|| format!("{} does not start", name.get_name()))?;
        Ok(Self::of(
            child,
            url,
            Some(token).filter(|it| !it.is_empty()),
        ))
    }

    /// A process that is there.
    pub(super) const fn of(child: Child, url: String, token: Option<String>) -> Self {
        Self {
            place: Place { url, token },
            child,
            directory: None,
        }
    }

    /// Takes away a directory of its own when it ends.
    pub(super) fn keep(&mut self, directory: TempDir) {
        self.directory = Some(directory);
    }

    /// Its process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("it has ended")
    }

    /// Processor time that it and its children that live have used.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let pid = self.pid()?;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let mut used = cpu(pid)?;
        for child in children.split_ascii_whitespace() {
            used += cpu(child.parse()?)?;
        }
        Ok(used)
    }
}

/// Processor time that a process has used.
pub(super) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Fields 14 and 15, counted from behind the name, which may have spaces in it.
    let after = stat.rsplit(')').next().context("no name")?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let mut ticks = 0;
    for _ in 0..2 {
        ticks += fields.next().context("no time")?.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

/// Resident memory of a process, in MiB.
pub(super) fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: f64 = kib.context("no VmRSS")?.trim().parse()?;
    Ok(kib / 1024.0)
}

impl Drop for Part {
    /// Asks it to end, so that it can end what it started: nginx has its workers.
    fn drop(&mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Tells whoever started this process where it listens.
pub(super) fn tell(url: &str, token: Option<&str>) {
    let text = format!("{url}\n{}\n", token.unwrap_or_default());
    // Whoever started it is gone otherwise, and it will end soon.
    let _gone = std::io::stdout().write_all(text.as_bytes());
}
