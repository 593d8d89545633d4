//! The whole DTMA over a real container engine: `kill -9` in the middle of things, adoption, and
//! nothing left behind. What the runtime does by itself is tested in `tests/docker_runtime`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/machine/mod.rs"]
mod machine;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;
use agentopia_domain::spec::{InstanceSpec, VolumeSpec};

use crate::machine::Machine;
use crate::machine::tools::{GOOD, next};
use crate::support::static_binaries;

const REPOSITORY: &str = "agentopia-test/dtma-machine";

/// A machine with containers; everything that it made is purged at the end.
struct Docked(Machine);

impl Docked {
    async fn running() -> Self {
        let mut machine = Machine::new().await;
        machine.configure_runtime("docker", &tool_init());
        machine.start().await;
        Self(machine)
    }

    /// A spec of the echo server in an image from scratch.
    fn echo(&self) -> InstanceSpec {
        let mut spec = self.0.tool("unused", GOOD);
        REPOSITORY.clone_into(&mut spec.program.image.repository);
        spec.resources.memory_bytes = 64 << 20;
        let context = self.0.path("image");
        fs::create_dir_all(&context).unwrap();
        fs::copy(
            static_binaries().join("agentopia-echo"),
            context.join("echo"),
        )
        .unwrap();
        let file = "FROM scratch\nCOPY echo /echo\nENTRYPOINT [\"/echo\"]\n";
        fs::write(context.join("Dockerfile"), file).unwrap();
        let built = Command::new("docker")
            .args(["build", "--quiet", "--tag", &format!("{REPOSITORY}:1")])
            .arg(&context)
            .env("DOCKER_BUILDKIT", "0")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(built.success());
        spec
    }

    /// Ids of everything of this environment, of one kind.
    fn list(&self, kind: &str) -> Vec<String> {
        let label = format!(
            "label=agentopia.environment={}",
            self.0.control_plane.environment
        );
        let mut command = Command::new("docker");
        command.args([kind, "ls", "--quiet", "--filter", &label]);
        if kind == "container" {
            command.args(["--all", "--no-trunc"]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Docked {
    fn drop(&mut self) {
        self.0.end();
        let purged = self.0.command("purge").status();
        if !std::thread::panicking() {
            assert!(purged.unwrap().success());
            for kind in ["container", "network", "volume"] {
                assert!(self.list(kind).is_empty(), "{kind}");
            }
        }
    }
}

fn tool_init() -> String {
    static_binaries().join("tool-init").display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_go_on_while_the_dtma_is_killed_and_are_taken_over() {
    let mut machine = Docked::running().await;
    machine
        .0
        .control_plane
        .records()
        .secrets
        .insert("TOKEN".to_owned(), "value".to_owned());
    let mut spec = machine.echo();
    spec.secret_names = vec!["TOKEN".to_owned()];
    let before = machine.0.run(&spec).await;
    machine.0.kill();
    machine.0.start().await;
    let after = machine.0.phase(spec.instance_id, Phase::Running).await;
    assert_eq!(before.runtime.container_id, after.runtime.container_id);
    assert_eq!(
        machine.list("container"),
        [after.runtime.container_id.unwrap()]
    );

    // A tool that dies while the DTMA is away is started again.
    machine.0.kill();
    let container = machine.list("container").remove(0);
    let killed = Command::new("docker")
        .args(["kill", &container])
        .output()
        .unwrap();
    assert!(killed.status.success());
    machine.0.start().await;
    machine.0.phase(spec.instance_id, Phase::Running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_whose_container_is_killed_comes_back_by_itself() {
    let machine = Docked::running().await;
    let spec = machine.echo();
    let before = machine.0.run(&spec).await;
    let container = before.runtime.container_id.unwrap();
    let killed = Command::new("docker")
        .args(["rm", "--force", &container])
        .output()
        .unwrap();
    assert!(killed.status.success());
    machine
        .0
        .observed(spec.instance_id, "it came back", |it| {
            it.phase == Phase::Running && it.runtime.restarts == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_on_containers_that_is_cut_off_anywhere_is_finished() {
    let mut machine = Docked::running().await;
    let mut spec = machine.echo();
    spec.volume = Some(VolumeSpec {
        mount_path: "/data".to_owned(),
        of: None,
    });
    let wishes = [
        (DesiredInstance::Running, Phase::Running),
        (DesiredInstance::Stopped, Phase::Stopped),
        (DesiredInstance::Running, Phase::Running),
        (
            DesiredInstance::Removed { purge_data: true },
            Phase::Removed,
        ),
    ];
    for delay in [0, 20, 60, 120, 200, 300] {
        for (desired, phase) in wishes {
            spec = next(&spec, |it| it.desired = desired);
            machine.0.client().put(&spec).await.unwrap();
            tokio::time::sleep(Duration::from_millis(delay)).await;
            machine.0.kill();
            machine.0.start().await;
            let generation = spec.generation;
            machine
                .0
                .observed(
                    spec.instance_id,
                    &format!("{phase:?} after {delay} ms"),
                    |it| it.phase == phase && it.generation == generation,
                )
                .await;
        }
        for kind in ["container", "network", "volume"] {
            assert!(machine.list(kind).is_empty(), "{kind} after {delay} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_does_not_know_is_an_orphan_and_goes() {
    let mut machine = Docked::running().await;
    let spec = machine.echo();
    machine.0.run(&spec).await;
    machine.0.kill();
    let entry = format!("data/ledger/{}.json", spec.instance_id);
    fs::remove_file(machine.0.path(&entry)).unwrap();
    machine.0.start().await;
    let listed = &machine;
    machine
        .0
        .until("the orphan is gone", async || {
            (listed.list("container").is_empty() && listed.list("network").is_empty()).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_disk_floor_nothing_is_fetched() {
    let machine = Docked::running().await;
    let mut machine = machine;
    let mut spec = machine.echo();
    machine.0.end();
    let config = fs::read_to_string(machine.0.path("dtma.toml")).unwrap();
    let floor = format!("disk_floor_bytes = {}", i64::MAX);
    fs::write(
        machine.0.path("dtma.toml"),
        config.replace("disk_floor_bytes = 0", &floor),
    )
    .unwrap();
    machine.0.start().await;
    // What is there already may run; what has to be fetched may not.
    machine.0.run(&spec).await;
    let mut other = machine.echo();
    other.program.image.tag = Some("not-here".to_owned());
    machine.0.client().put(&other).await.unwrap();
    let failed = machine.0.phase(other.instance_id, Phase::Failed).await;
    assert!(failed.message.unwrap().contains("disk_full"));
    spec = next(&spec, |it| it.desired = DesiredInstance::Stopped);
    machine.0.client().put(&spec).await.unwrap();
    machine.0.phase(spec.instance_id, Phase::Stopped).await;
}
