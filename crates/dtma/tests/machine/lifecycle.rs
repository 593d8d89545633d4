//! Deploy, stop, start, reconfigure, remove; crashes and crash loops (TOOL-4, TOOL-5).

use std::fs;

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;
use agentopia_domain::spec::VolumeSpec;

use crate::machine::tools::{GOOD, next};
use crate::machine::{Machine, files};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life() {
    let machine = Machine::running().await;
    let mut spec = machine.tool("good", &format!("echo x >> \"$1/starts\"; {GOOD}"));
    spec.volume = Some(VolumeSpec {
        mount_path: "/data".to_owned(),
        of: None,
    });
    spec.program.process.push("/data".to_owned());
    machine.run(&spec).await;

    let stopped = next(&spec, |it| it.desired = DesiredInstance::Stopped);
    machine.client().put(&stopped).await.unwrap();
    machine.phase(spec.instance_id, Phase::Stopped).await;
    machine.no_processes().await;

    let again = next(&stopped, |it| it.desired = DesiredInstance::Running);
    machine.run(&again).await;
    let changed = next(&again, |it| {
        drop(it.env.insert("A".to_owned(), "b".to_owned()))
    });
    let observed = machine.run(&changed).await;
    assert_eq!(observed.runtime.restarts, 0);

    let volume = machine
        .path("data/volumes")
        .join(spec.instance_id.to_string());
    assert!(volume.join("starts").exists());
    let removed = next(&changed, |it| {
        it.desired = DesiredInstance::Removed { purge_data: false }
    });
    machine.client().put(&removed).await.unwrap();
    machine.phase(spec.instance_id, Phase::Removed).await;
    machine.no_processes().await;
    assert!(
        volume.join("starts").exists(),
        "data goes only when it is purged"
    );
    assert!(
        !machine
            .path("data/process")
            .join(spec.instance_id.to_string())
            .exists()
    );

    // Coming back, it finds its data.
    let back = next(&removed, |it| it.desired = DesiredInstance::Running);
    machine.run(&back).await;
    let purged = next(&back, |it| {
        it.desired = DesiredInstance::Removed { purge_data: true }
    });
    machine.client().put(&purged).await.unwrap();
    machine.phase(spec.instance_id, Phase::Removed).await;
    assert!(!volume.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_ends_at_once_fails_with_its_last_words_and_without_its_secret() {
    let machine = Machine::running().await;
    let secret = "s3cr3t-canary-value";
    machine
        .control_plane
        .records()
        .secrets
        .insert("TOKEN".to_owned(), secret.to_owned());
    let mut spec = machine.tool("bad", "echo \"no database at $TOKEN\" >&2; exit 3");
    spec.secret_names = vec!["TOKEN".to_owned()];
    machine.client().put(&spec).await.unwrap();
    let backoff = machine.phase(spec.instance_id, Phase::Backoff).await;
    let message = backoff.message.unwrap();
    assert!(
        message.contains("no database at [secret TOKEN]"),
        "{message}"
    );
    let failed = machine.phase(spec.instance_id, Phase::Failed).await;
    assert!(!failed.message.unwrap().contains(secret));
    assert!(!machine.log().contains(secret));

    // Another spec is another chance.
    machine.script("bad", GOOD);
    let repaired = next(&spec, |it| it.restart_nonce += 1);
    let observed = machine.run(&repaired).await;
    assert_eq!(observed.message, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_never_answers_is_told_by_the_health_timeout() {
    let mut machine = Machine::new().await;
    machine.configure("health_timeout_seconds = 1");
    machine.start().await;
    let spec = machine.tool("mute", "echo thinking >&2; cat > /dev/null");
    machine.client().put(&spec).await.unwrap();
    let observed = machine.phase(spec.instance_id, Phase::Backoff).await;
    let message = observed.message.unwrap();
    assert!(
        message.contains("did not answer") && message.contains("thinking"),
        "{message}"
    );
    // It can be stopped while it is being tried.
    let stopped = next(&spec, |it| it.desired = DesiredInstance::Stopped);
    machine.client().put(&stopped).await.unwrap();
    machine.phase(spec.instance_id, Phase::Stopped).await;
    machine.no_processes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_program_is_said_at_once() {
    let machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    spec.program.process = vec!["no-such-program".to_owned()];
    machine.client().put(&spec).await.unwrap();
    let observed = machine.phase(spec.instance_id, Phase::Failed).await;
    assert!(observed.message.unwrap().contains("program_not_found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_server_that_dies_comes_back() {
    let machine = Machine::running().await;
    let mut spec = machine.tool("unused", GOOD);
    let echo = crate::machine::echo();
    spec.program.process = vec![echo, "--http".to_owned(), "127.0.0.1:{port}".to_owned()];
    spec.transport = agentopia_domain::catalog::Transport::StreamableHttp {
        port: 8000,
        path: "/mcp".to_owned(),
    };
    let first = machine.run(&spec).await;
    assert!(first.runtime.port.is_some());
    let pid = machine.tool_processes()[0];
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let second = machine
        .observed(spec.instance_id, "it came back", |it| {
            it.phase == Phase::Running && it.runtime.restarts == 1
        })
        .await;
    assert_ne!(first.runtime.container_id, second.runtime.container_id);
    assert_eq!(second.message, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_reach_the_tool_and_nothing_else() {
    let machine = Machine::running().await;
    let canary = "c4n4ry-7f3a-value";
    {
        let mut records = machine.control_plane.records();
        records
            .secrets
            .insert("TOKEN".to_owned(), canary.to_owned());
        records
            .secrets
            .insert("NOT_ASKED".to_owned(), "other".to_owned());
    }
    let mut spec = machine.tool(
        "good",
        &format!("[ -n \"$TOKEN\" ] || exit 1; [ -z \"$NOT_ASKED\" ] || exit 1; {GOOD}"),
    );
    spec.secret_names = vec!["TOKEN".to_owned()];
    machine.run(&spec).await;
    let asked = machine.control_plane.records().secrets_asked[0].clone();
    assert_eq!((asked.generation, asked.registry), (1, None));
    for (path, content) in files(machine.directory.path()) {
        let found = content
            .windows(canary.len())
            .any(|part| part == canary.as_bytes());
        assert!(!found, "{}", path.display());
    }
    let arguments = fs::read(format!("/proc/{}/cmdline", machine.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(canary));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_control_plane_does_not_know_goes_and_its_data_stays() {
    let machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    spec.volume = Some(VolumeSpec {
        mount_path: "/data".to_owned(),
        of: None,
    });
    machine.run(&spec).await;
    machine.control_plane.records().unknown = vec![spec.instance_id];
    machine
        .until("it is gone and no longer reported", async || {
            machine
                .client()
                .instances()
                .await
                .ok()?
                .is_empty()
                .then_some(())
        })
        .await;
    machine.no_processes().await;
    assert!(
        machine
            .path("data/volumes")
            .join(spec.instance_id.to_string())
            .exists()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_in_a_row_end_with_the_last() {
    let machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    for round in 0..15 {
        spec = next(&spec, |it| {
            it.desired = match round % 3 {
                0 => DesiredInstance::Running,
                1 => DesiredInstance::Stopped,
                _ => DesiredInstance::Removed { purge_data: false },
            };
        });
        machine.client().put(&spec).await.unwrap();
    }
    let last = next(&spec, |it| it.desired = DesiredInstance::Running);
    machine.run(&last).await;
}

/// The footprint that is promised (15 MiB resident with ten instances) is measured on the shipping
/// build by `script/bench footprint`; what the heap takes can be watched here already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_idle_instances_take_little_memory() {
    let machine = Machine::running().await;
    for _ in 0..10 {
        machine
            .client()
            .put(&machine.tool("good", GOOD))
            .await
            .unwrap();
    }
    machine
        .until("all ten run", async || {
            let all = machine.client().instances().await.ok()?;
            let running = all.iter().filter(|it| it.phase == Phase::Running);
            (running.count() == 10).then_some(())
        })
        .await;
    let status = fs::read_to_string(format!("/proc/{}/status", machine.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("{status}");
    assert!(kib < 15 << 10, "{kib} KiB");
}
