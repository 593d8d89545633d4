//! The runtime with real children.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agentopia_domain::Ambient;
use agentopia_domain::catalog::Transport;
use agentopia_domain::spec::VolumeSpec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::runtime::{StdioSession, StdioSpawner, ToolChannel};
use crate::testing::spec_in;

struct Machine {
    runtime: Arc<ProcessRuntime>,
    context: RuntimeContext,
    directory: tempfile::TempDir,
}

async fn machine() -> Machine {
    let directory = tempfile::tempdir().unwrap();
    let tools = directory.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let ambient = Ambient::system();
    let context = RuntimeContext {
        environment_id: ambient.new_id(),
        dns_servers: Vec::new(),
        data_dir: directory.path().join("data"),
        run_dir: directory.path().join("run"),
        tool_init: "/nowhere".into(),
        tools_dir: Some(tools),
        ambient,
    };
    Machine {
        runtime: ProcessRuntime::new(context.clone()).await.unwrap(),
        context,
        directory,
    }
}

impl Machine {
    /// A spec that runs a shell script.
    fn script(&self, script: &str) -> InstanceSpec {
        let path = self.directory.path().join("tools/script");
        // Written beside and renamed: another test's child may be between fork and exec, holding
        // the file open for writing, which would make executing it fail.
        let new = path.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &path).unwrap();
        let mut spec = spec_in(self.context.environment_id);
        spec.program.process = vec!["/bin/sh".to_owned(), path.display().to_string()];
        spec
    }

    async fn start(&self, spec: &InstanceSpec, secrets: &[(&str, &str)]) {
        let secrets = secrets
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
            .collect();
        let prepared = self
            .runtime
            .prepare(spec, None, &Progress::none())
            .await
            .unwrap();
        self.runtime.start(spec, &prepared, secrets).await.unwrap();
    }

    async fn open(&self, spec: &InstanceSpec) -> StdioSession {
        spawner(&self.runtime, spec).await.open().await.unwrap()
    }

    async fn state(&self, spec: &InstanceSpec) -> Option<RunState> {
        self.runtime
            .inspect(spec.instance_id)
            .await
            .unwrap()
            .map(|it| it.state)
    }
}

async fn spawner(runtime: &ProcessRuntime, spec: &InstanceSpec) -> Arc<dyn StdioSpawner> {
    match runtime.tool(spec.instance_id).await.unwrap().channel {
        ToolChannel::Stdio { spawner, .. } => spawner,
        ToolChannel::Http { .. } | ToolChannel::Sse { .. } => panic!("not a stdio server"),
    }
}

async fn read_all(mut session: StdioSession) -> String {
    drop(session.stdin);
    let mut text = String::new();
    session.stdout.read_to_string(&mut text).await.unwrap();
    session.process.close().await;
    text
}

/// Waits until nothing of the instance runs.
fn marked(variable: &str) -> Vec<nix::unistd::Pid> {
    sweep::look(variable).found
}

async fn gone(variable: &str) {
    until(|| marked(variable).is_empty()).await;
}

async fn until(mut condition: impl FnMut() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached)
        .await
        .expect("the condition did not come about");
}

fn mark(spec: &InstanceSpec) -> String {
    format!("{}={}", command::MARK_INSTANCE, spec.instance_id)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn each_session_is_a_process_of_its_own() {
    let machine = machine().await;
    let spec = spec_in(machine.context.environment_id);
    machine.start(&spec, &[]).await;
    let mut one = machine.open(&spec).await;
    let mut two = machine.open(&spec).await;
    one.stdin.write_all(b"one\n").await.unwrap();
    two.stdin.write_all(b"two\n").await.unwrap();
    until(|| marked(&mark(&spec)).len() == 2).await;
    assert_eq!(read_all(one).await, "one\n");
    assert_eq!(read_all(two).await, "two\n");
    gone(&mark(&spec)).await;
    assert_eq!(machine.state(&spec).await, Some(RunState::Running));
}

#[tokio::test]
async fn a_tool_sees_its_own_environment_and_nothing_of_ours() {
    let machine = machine().await;
    let mut spec = machine.script("env; cat");
    spec.env.insert("COLOUR".to_owned(), "blue".to_owned());
    machine.start(&spec, &[("TOKEN", "hunter22")]).await;
    let text = read_all(machine.open(&spec).await).await;
    let names: std::collections::BTreeSet<_> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let allowed = [
        "AGENTOPIA_ENVIRONMENT",
        "AGENTOPIA_INSTANCE",
        "COLOUR",
        "HOME",
        "LANG",
        "PATH",
        "PWD",
        "TOKEN",
        "_",
        "SHLVL",
        "OLDPWD",
    ];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert!(
        text.contains("TOKEN=hunter22") && text.contains("COLOUR=blue"),
        "{text}"
    );
}

#[tokio::test]
async fn a_tool_is_confined() {
    let machine = machine().await;
    let spec =
        machine.script("grep NoNewPrivs /proc/self/status; ulimit -c; ulimit -d; ulimit -n; pwd");
    machine.start(&spec, &[]).await;
    let text = read_all(machine.open(&spec).await).await;
    let lines: Vec<_> = text.lines().collect();
    let data = (spec.resources.memory_bytes + (1 << 30)) / 1024;
    let home = machine
        .runtime
        .work_dir(spec.instance_id)
        .display()
        .to_string();
    assert_eq!(
        lines,
        ["NoNewPrivs:\t1", "0", &data.to_string(), "4096", &home],
    );
}

#[tokio::test]
async fn closing_ends_a_session_that_ignores_everything_and_all_its_children() {
    let machine = machine().await;
    let spec = machine.script(
        "trap '' TERM; sleep 300 & setsid sleep 300 & echo ready; while :; do sleep 300; done",
    );
    machine.start(&spec, &[]).await;
    let mut session = machine.open(&spec).await;
    let mut ready = [0; 6];
    session.stdout.read_exact(&mut ready).await.unwrap();
    // Each shows its environment once its program has begun.
    until(|| marked(&mark(&spec)).len() >= 3).await;
    let StdioSession {
        stdin,
        stdout,
        process,
    } = session;
    drop((stdin, stdout));
    let info = process.close().await;
    assert_eq!(info.signal, Some(9));
    machine
        .runtime
        .stop(spec.instance_id, Duration::ZERO)
        .await
        .unwrap();
    gone(&mark(&spec)).await;
    assert!(matches!(
        machine.state(&spec).await,
        Some(RunState::Exited(_))
    ));
    assert!(machine.runtime.tool(spec.instance_id).await.is_none());
}

#[tokio::test]
async fn a_dropped_session_ends_too() {
    let machine = machine().await;
    let spec = spec_in(machine.context.environment_id);
    machine.start(&spec, &[]).await;
    drop(machine.open(&spec).await);
    gone(&mark(&spec)).await;
}

#[tokio::test]
async fn nothing_can_be_opened_after_a_stop() {
    let machine = machine().await;
    let spec = spec_in(machine.context.environment_id);
    machine.start(&spec, &[]).await;
    let spawner = spawner(&machine.runtime, &spec).await;
    machine
        .runtime
        .stop(spec.instance_id, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(
        spawner.open().await.unwrap_err().code,
        ErrorCode::NotRunning
    );
    gone(&mark(&spec)).await;
}

#[tokio::test]
async fn an_http_server_gets_a_port_and_its_end_is_told() {
    let machine = machine().await;
    let mut spec =
        machine.script("echo \"$PORT $1\" > ports; echo words; echo bad >&2; read forever < fifo");
    spec.program.process.push("--port={port}".to_owned());
    spec.transport = Transport::StreamableHttp {
        port: 1,
        path: "/mcp".to_owned(),
    };
    let work = machine.runtime.work_dir(spec.instance_id);
    machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    nix::unistd::mkfifo(&work.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut exits = machine.runtime.exits();
    machine.start(&spec, &[]).await;
    let handle = machine.runtime.tool(spec.instance_id).await.unwrap();
    let ToolChannel::Http { address, path } = handle.channel else {
        panic!("no HTTP")
    };
    assert_eq!(path, "/mcp");
    let ports = format!("{0} --port={0}\n", address.port());
    until(|| read(&work.join("ports")) == ports).await;
    until(|| read(&work.join("log")).contains("bad")).await;
    assert_eq!(
        machine.runtime.last_stderr(spec.instance_id, 1).await,
        ["bad"]
    );

    let pid = marked(&mark(&spec))[0];
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(exits.recv().await.unwrap(), spec.instance_id);
    let Some(RunState::Exited(info)) = machine.state(&spec).await else {
        panic!("still there")
    };
    assert_eq!(info.signal, Some(15));
}

#[tokio::test]
async fn a_volume_outlives_removal_until_it_is_purged() {
    let machine = machine().await;
    let mut spec = machine.script("echo kept > \"$1/file\"; cat");
    spec.volume = Some(VolumeSpec {
        mount_path: "/data".to_owned(),
        of: None,
    });
    spec.program.process.push("/data".to_owned());
    machine.start(&spec, &[]).await;
    read_all(machine.open(&spec).await).await;
    let file = machine.runtime.volume(spec.instance_id).join("file");
    assert_eq!(read(&file), "kept\n");
    machine
        .runtime
        .remove(spec.instance_id, false)
        .await
        .unwrap();
    machine
        .runtime
        .remove(spec.instance_id, false)
        .await
        .unwrap();
    assert_eq!(machine.state(&spec).await, None);
    assert_eq!(read(&file), "kept\n");
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert!(!file.exists());
    assert_eq!(machine.runtime.observe().await.unwrap(), []);
}

#[tokio::test]
async fn what_outlived_an_earlier_dtma_is_ended_and_strangers_are_not() {
    let machine = machine().await;
    let id = machine.context.environment_id.to_string();
    let stranger = Ambient::system()
        .new_id::<agentopia_domain::EnvironmentId>()
        .to_string();
    let spawn = |environment: &str| {
        std::process::Command::new("sleep")
            .arg("300")
            .env(command::MARK_ENVIRONMENT, environment)
            .spawn()
            .unwrap()
    };
    let (mut ours, mut theirs) = (spawn(&id), spawn(&stranger));
    // Started, so that their environments can be read.
    until(|| marked(&format!("{}={id}", command::MARK_ENVIRONMENT)).len() == 1).await;
    ProcessRuntime::new(machine.context.clone()).await.unwrap();
    let status = ours.wait().unwrap();
    assert!(!status.success());
    assert!(
        theirs.try_wait().unwrap().is_none(),
        "it is none of our business"
    );
    theirs.kill().unwrap();
    theirs.wait().unwrap();
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let machine = machine().await;
    let path = machine.directory.path().join("tools/garbage");
    fs::write(&path, b"#!/no/such/interpreter").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = spec_in(machine.context.environment_id);
    spec.program.process = vec!["garbage".to_owned()];
    machine.start(&spec, &[]).await;
    let error = spawner(&machine.runtime, &spec)
        .await
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::ProgramNotFound, "{error}");

    let long = "hunter22".repeat(20_000);
    let spec = spec_in(machine.context.environment_id);
    machine.start(&spec, &[("TOKEN", &long)]).await;
    let error = spawner(&machine.runtime, &spec)
        .await
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::ExecFailed);
    assert!(
        error.message.contains("128 KiB") && !error.message.contains("hunter"),
        "{error}"
    );
}

#[tokio::test]
async fn use_is_measured() {
    let machine = machine().await;
    let spec = spec_in(machine.context.environment_id);
    machine.start(&spec, &[]).await;
    let session = machine.open(&spec).await;
    let usage = machine.runtime.usage(spec.instance_id).await.unwrap();
    assert!(usage.memory_bytes > 0);
    read_all(session).await;
}

#[tokio::test]
async fn shutdown_leaves_nothing() {
    let machine = machine().await;
    let spec = spec_in(machine.context.environment_id);
    machine.start(&spec, &[]).await;
    let _session = machine.open(&spec).await;
    machine.runtime.shutdown(Duration::from_secs(1)).await;
    assert!(marked(&mark(&spec)).is_empty());
}
