//! A machine: a directory and a `dtma` process in it.
//!
//! Only the control plane is a stand-in ([`control_plane`]): a small HTTPS server that speaks the
//! real contract with the real certificates. The whole system is tested with the real one in `e2e`.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test binary uses its own part of this; an expectation would be unfulfilled in some"
)]

mod control_plane;
pub(crate) mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma_api::to_dtma::DtmaClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use control_plane::{ControlPlane, Serving};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(40);

pub(crate) struct Machine {
    pub(crate) control_plane: Arc<ControlPlane>,
    pub(crate) serving: Option<Serving>,
    pub(crate) directory: tempfile::TempDir,
    dtma: Option<Child>,
}

impl Machine {
    /// Set up and not started.
    pub(crate) async fn new() -> Self {
        let (control_plane, serving) = ControlPlane::start().await;
        let machine = Self {
            control_plane,
            serving: Some(serving),
            directory: tempfile::tempdir().unwrap(),
            dtma: None,
        };
        fs::create_dir(machine.path("tools")).unwrap();
        machine.control_plane.token(&machine.path("token"));
        machine.configure("");
        machine
    }

    /// Enrolled and running.
    pub(crate) async fn running() -> Self {
        let mut machine = Self::new().await;
        machine.start().await;
        machine
    }

    /// Writes the configuration, with more lines at the end.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!(
            "control_plane_url = 'https://{}'\ncontrol_plane_ca_fingerprint = '{}'\n\
             enrolment_token_file = '{}'\ndata_dir = '{}'\nrun_dir = '{}'\n\
             listen = '127.0.0.1:0'\nruntime = 'process'\ntools_dir = '{}'\n\
             disk_floor_bytes = 0\n{more}\n",
            self.control_plane.address,
            self.control_plane.fingerprint(),
            self.path("token").display(),
            self.path("data").display(),
            self.path("run").display(),
            self.path("tools").display(),
        );
        fs::write(self.path("dtma.toml"), text).unwrap();
    }

    /// Writes the configuration for another runtime.
    pub(crate) fn configure_runtime(&self, runtime: &str, tool_init: &str) {
        self.configure(&format!("tool_init = '{tool_init}'"));
        let path = self.path("dtma.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("runtime = 'process'", &format!("runtime = '{runtime}'"));
        fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dtma"));
        command
            .arg(verb)
            .arg("--config")
            .arg(self.path("dtma.toml"));
        command.stdin(Stdio::null());
        command
    }

    /// Starts the process without waiting for anything.
    pub(crate) fn spawn(&mut self) {
        let _ = fs::remove_file(self.path("data/port"));
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = self.command("run").stderr(log).spawn().unwrap();
        self.dtma = Some(child);
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    pub(crate) async fn ready(&self) {
        self.until("the DTMA serves", async || {
            self.port()?;
            self.client().info().await.ok()
        })
        .await;
    }

    pub(crate) fn port(&self) -> Option<u16> {
        fs::read_to_string(self.path("data/port"))
            .ok()?
            .parse()
            .ok()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.dtma.as_ref().unwrap().id().try_into().unwrap())
    }

    pub(crate) fn client(&self) -> DtmaClient {
        self.control_plane.client(self.port().expect("it listens"))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.dtma.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it, if it runs.
    pub(crate) fn end(&mut self) {
        if self.dtma.is_some() {
            self.kill();
        }
    }

    /// SIGTERM, and the exit status.
    pub(crate) async fn terminate(&mut self) -> std::process::ExitStatus {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        self.exit().await
    }

    /// Waits for it to end by itself.
    pub(crate) async fn exit(&mut self) -> std::process::ExitStatus {
        let mut child = self.dtma.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        tokio::time::timeout(LIMIT, ended)
            .await
            .expect("it ends")
            .unwrap()
    }

    /// Waits until `look` finds something.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(LIMIT, found).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain until {what}; the log says:\n{}", self.log()),
        }
    }

    /// Waits until an instance is in a phase.
    pub(crate) async fn phase(&self, id: InstanceId, phase: Phase) -> ObservedInstance {
        self.observed(id, &format!("{id} is {phase:?}"), |it| it.phase == phase)
            .await
    }

    /// Waits until what is observed of an instance satisfies a condition.
    pub(crate) async fn observed(
        &self,
        id: InstanceId,
        what: &str,
        condition: impl Fn(&ObservedInstance) -> bool,
    ) -> ObservedInstance {
        self.until(what, async || {
            let all = self.client().instances().await.ok()?;
            all.into_iter()
                .find(|it| it.instance_id == id && condition(it))
        })
        .await
    }

    /// Sends a spec and waits until it runs.
    pub(crate) async fn run(&self, spec: &InstanceSpec) -> ObservedInstance {
        self.client().put(spec).await.unwrap();
        let generation = spec.generation;
        self.observed(spec.instance_id, "it runs", |it| {
            it.phase == Phase::Running && it.generation == generation
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Processes of this environment's tools.
    pub(crate) fn tool_processes(&self) -> Vec<Pid> {
        marked(&format!(
            "AGENTOPIA_ENVIRONMENT={}",
            self.control_plane.environment
        ))
    }

    /// Waits until no process of a tool is left.
    pub(crate) async fn no_processes(&self) {
        self.until("no tool runs", async || {
            self.tool_processes().is_empty().then_some(())
        })
        .await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut child) = self.dtma.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for pid in self.tool_processes() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Processes with a variable in their environment.
fn marked(variable: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, path)| has(path, variable))
        .map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

fn has(process: &Path, variable: &str) -> bool {
    fs::read(process.join("environ")).is_ok_and(|all| {
        all.split(|byte| *byte == 0)
            .any(|one| one == variable.as_bytes())
    })
}

/// Files below a directory, with their contents.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(content) = fs::read(&path) {
            found.push((path, content));
        }
    }
    found
}

/// The program of `tools/echo`, built if need be.
pub(crate) fn echo() -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_dtma")).with_file_name("agentopia-echo");
    if !path.exists() {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "agentopia-echo"])
            .status()
            .unwrap();
        assert!(status.success(), "agentopia-echo can't be built");
    }
    path.display().to_string()
}
