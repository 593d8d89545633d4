//! `kill -9` within an update: whatever was on disk then, the next start goes on with the version
//! before or with the new one, and in the end the new one runs.

use std::fs;
use std::time::Duration;

use agentopia_dtma_api::to_control_plane::UpdateOutcome;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::Machine;
use crate::versions::Version;

/// Kills it after ever longer times within an update, so that every step is hit: fetching, checking,
/// the copy of the version before, the state, the hand-over, the trial, the confirmation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_is_cut_off_anywhere_is_finished_by_the_next_run() {
    let mut machine = Machine::updating(60).await;
    let versions = [Version::real("one"), Version::real("two")];
    machine.installed().await;
    for (round, delay) in [0, 100, 300, 600, 1000, 1500, 2200, 3000, 4000, 5500]
        .into_iter()
        .enumerate()
    {
        let version = &versions[round % 2];
        machine.offer(version);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        machine.kill();
        machine.start().await;
        machine.runs(&version.sha256).await;
        machine
            .until("it is confirmed", async || {
                let state = fs::read_to_string(machine.path("data/update/state.json")).ok()?;
                let state: serde_json::Value = serde_json::from_str(&state).ok()?;
                (state["trial"].is_null() && state["current"]["sha256"] == *version.sha256)
                    .then_some(())
            })
            .await;
    }
    let records = machine.control_plane.records();
    let rejected = |it: &&agentopia_dtma_api::to_control_plane::UpdateReport| {
        it.outcome == UpdateOutcome::Rejected
    };
    assert_eq!(records.updates.iter().find(rejected), None);
}

/// What a loss of power leaves at each step of putting a program on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_half_written_is_done_again() {
    let mut machine = Machine::updating(60).await;
    machine.installed().await;
    machine.kill();
    let version = Version::real("new");
    let programs = machine.path("data/update/programs");
    let partial = programs.join(format!("{}.partial", version.sha256));
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("dtma"), &version.content[..100]).unwrap();
    let whole = programs.join(&version.sha256);
    fs::create_dir_all(&whole).unwrap();
    fs::write(whole.join("dtma"), b"").unwrap();
    fs::write(machine.path("data/update/state.json.partial"), b"{").unwrap();
    machine.offer(&version);
    machine.start().await;
    machine
        .told(UpdateOutcome::Installed, &version.sha256)
        .await;
    machine.runs(&version.sha256).await;
    assert!(!partial.exists());

    // A state that can't be read is none: the installed program runs, and updates itself again.
    machine.kill();
    fs::write(machine.path("data/update/state.json"), b"{\"format\":1,").unwrap();
    machine.control_plane.records().updates.clear();
    machine.start().await;
    machine
        .told(UpdateOutcome::Installed, &version.sha256)
        .await;
    machine.runs(&version.sha256).await;
}

/// A disk that is full, as far as the state of updates is concerned: nothing can be tried, and the
/// machine has its DTMA nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_that_can_not_be_written_down_waits_and_the_version_before_serves() {
    let mut machine = Machine::updating(60).await;
    let installed = machine.installed().await;
    let starts = machine.path("starts");
    let slow = Version::script(&format!(
        "echo start >>{}; trap 'exit 0' TERM; while :; do sleep 0.05; done",
        starts.display()
    ));
    machine.offer(&slow);
    machine
        .until("it is tried", async || starts.exists().then_some(()))
        .await;
    machine.kill();
    // What is written first can't be written.
    let partial = machine.path("data/update/state.json.partial");
    fs::create_dir(&partial).unwrap();
    let tried = fs::read(&starts).unwrap();
    machine.start().await;
    machine.runs(&installed).await;
    assert_eq!(fs::read(&starts).unwrap(), tried);

    fs::remove_dir(&partial).unwrap();
    machine.kill();
    machine.spawn();
    machine
        .until("it is tried again", async || {
            (fs::read(&starts).unwrap() != tried).then_some(())
        })
        .await;
}

/// One death of a version on trial is no proof that it is bad.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_on_trial_that_is_killed_is_started_again() {
    let machine = Machine::updating(60).await;
    machine.installed().await;
    let version = Version::real("new");
    machine.offer(&version);
    let launcher = machine.pid();
    let child = machine
        .until("the trial runs", async || {
            child_of(launcher, &version.sha256)
        })
        .await;
    kill(child, Signal::SIGKILL).unwrap();
    machine
        .told(UpdateOutcome::Installed, &version.sha256)
        .await;
    assert_ne!(child_of(launcher, &version.sha256), Some(child));
}

/// The child of `parent` whose program is the one of this digest.
fn child_of(parent: Pid, sha256: &str) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let mut children = children.split_whitespace();
    children.find_map(|child| {
        let program = fs::read_link(format!("/proc/{child}/exe")).ok()?;
        let ours = program.to_string_lossy().contains(sha256);
        ours.then(|| child.parse().ok().map(Pid::from_raw))?
    })
}
