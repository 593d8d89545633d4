//! `kill -9` of the DTMA between any two steps: the next run converges, nothing is left behind.

use std::time::Duration;

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;

use crate::machine::Machine;
use crate::machine::tools::{GOOD, next};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_come_back_after_a_crash_and_no_process_is_left_over() {
    let mut machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    let echo = crate::machine::echo();
    spec.program.process = vec![echo, "--http".to_owned(), "127.0.0.1:{port}".to_owned()];
    spec.transport = agentopia_domain::catalog::Transport::StreamableHttp {
        port: 8000,
        path: "/mcp".to_owned(),
    };
    machine.run(&spec).await;
    let before = machine.tool_processes();
    machine.kill();
    machine.no_processes().await;
    machine.start().await;
    machine.phase(spec.instance_id, Phase::Running).await;
    let after = machine.tool_processes();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_tool_stays_stopped_and_a_removed_one_removed() {
    let mut machine = Machine::running().await;
    let stopped = machine.tool("good", GOOD);
    let removed = machine.tool("good", GOOD);
    for spec in [&stopped, &removed] {
        machine.run(spec).await;
    }
    let stopped = next(&stopped, |it| it.desired = DesiredInstance::Stopped);
    let removed = next(&removed, |it| {
        it.desired = DesiredInstance::Removed { purge_data: true }
    });
    machine.client().put(&stopped).await.unwrap();
    machine.client().put(&removed).await.unwrap();
    machine.phase(stopped.instance_id, Phase::Stopped).await;
    machine.phase(removed.instance_id, Phase::Removed).await;
    machine.kill();
    machine.start().await;
    machine.phase(stopped.instance_id, Phase::Stopped).await;
    machine.phase(removed.instance_id, Phase::Removed).await;
    assert!(machine.tool_processes().is_empty());
}

/// Kills the DTMA after ever longer times within an operation, until the operation is done before
/// the kill: every step is hit, without the test knowing the steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_is_cut_off_anywhere_is_finished_by_the_next_run() {
    let mut machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    let wishes = [
        (DesiredInstance::Running, Phase::Running),
        (DesiredInstance::Stopped, Phase::Stopped),
        (DesiredInstance::Running, Phase::Running),
        (
            DesiredInstance::Removed { purge_data: true },
            Phase::Removed,
        ),
    ];
    for delay in [0, 1, 2, 4, 8, 16, 32, 64] {
        for (desired, phase) in wishes {
            spec = next(&spec, |it| it.desired = desired);
            machine.client().put(&spec).await.unwrap();
            tokio::time::sleep(Duration::from_millis(delay)).await;
            machine.kill();
            machine.start().await;
            let generation = spec.generation;
            machine
                .observed(
                    spec.instance_id,
                    &format!("{phase:?} after {delay} ms"),
                    |it| it.phase == phase && it.generation == generation,
                )
                .await;
        }
        machine.no_processes().await;
        let directory = machine
            .path("data/process")
            .join(spec.instance_id.to_string());
        assert!(!directory.exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_ledger_entry_harms_no_other() {
    let mut machine = Machine::running().await;
    let (good, bad) = (machine.tool("good", GOOD), machine.tool("good", GOOD));
    for spec in [&good, &bad] {
        machine.run(spec).await;
    }
    machine.kill();
    let entry = machine
        .path("data/ledger")
        .join(format!("{}.json", bad.instance_id));
    std::fs::write(&entry, "{\"format\":1,").unwrap();
    machine.start().await;
    machine.phase(good.instance_id, Phase::Running).await;
    assert!(machine.log().contains("set aside"), "{}", machine.log());
    // The control plane sees that it is missing and sends it again.
    machine.run(&bad).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_in_order_and_leaves_no_process() {
    let mut machine = Machine::running().await;
    let spec = machine.tool("good", GOOD);
    machine.run(&spec).await;
    let status = machine.terminate().await;
    assert!(status.success(), "{status}");
    assert!(machine.tool_processes().is_empty());
    machine.start().await;
    machine.phase(spec.instance_id, Phase::Running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_dtma_of_one_directory_ends_without_a_trace() {
    let machine = Machine::running().await;
    let second = machine.command("run").output().unwrap();
    assert!(!second.status.success());
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("another DTMA runs"), "{text}");
    machine.client().info().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_leaves_nothing_of_any_tool() {
    let mut machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    spec.volume = Some(agentopia_domain::spec::VolumeSpec {
        mount_path: "/data".to_owned(),
        of: None,
    });
    machine.run(&spec).await;
    assert!(
        !machine.command("purge").status().unwrap().success(),
        "it runs"
    );
    machine.terminate().await;
    for _ in 0..2 {
        assert!(machine.command("purge").status().unwrap().success());
    }
    for directory in ["data/process", "data/volumes"] {
        let left = std::fs::read_dir(machine.path(directory)).unwrap().count();
        assert_eq!(left, 0, "{directory}");
    }
}
