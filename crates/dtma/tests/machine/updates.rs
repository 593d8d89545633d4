//! Self-update (DTMA-8): a version that is offered takes over, one that is no good does not stay.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agentopia_domain::observed::Phase;
use agentopia_dtma_api::to_control_plane::UpdateOutcome;

use crate::machine::Machine;
use crate::machine::tools::GOOD;
use crate::versions::Version;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offered_version_takes_over_and_the_next_one_after_it() {
    let mut machine = Machine::updating(60).await;
    let spec = machine.tool("good", GOOD);
    machine.run(&spec).await;
    let installed = machine.installed().await;
    let pid = machine.pid();
    for build in ["second", "third"] {
        let version = Version::real(build);
        machine.offer(&version);
        let report = machine
            .told(UpdateOutcome::Installed, &version.sha256)
            .await;
        assert_eq!(
            report.to_version.as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        machine.runs(&version.sha256).await;
        machine.phase(spec.instance_id, Phase::Running).await;
    }
    assert_eq!(machine.pid(), pid);
    assert_eq!(machine.control_plane.records().downloads, 2);

    // What proved to be good is started from then on, and the one before is kept.
    let kept = |version: &Version| {
        let program = machine.path("data/update/programs").join(&version.sha256);
        program.join("dtma").is_file()
    };
    let (second, third) = (Version::real("second"), Version::real("third"));
    assert!(kept(&second) && kept(&third));
    machine.kill();
    machine.start().await;
    machine.runs(&third.sha256).await;

    // Its file is damaged: the one before takes its place, and then the installed one.
    for (damaged, next) in [
        (&third.sha256, &second.sha256),
        (&second.sha256, &installed),
    ] {
        machine.kill();
        machine.control_plane.records().offer = None;
        let file = machine
            .path("data/update/programs")
            .join(damaged)
            .join("dtma");
        fs::OpenOptions::new()
            .write(true)
            .open(file)
            .unwrap()
            .set_len(1000)
            .unwrap();
        machine.start().await;
        machine.runs(next).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_program_that_was_offered_is_never_run() {
    let machine = Machine::updating(60).await;
    let installed = machine.installed().await;
    let touched = machine.path("touched");
    let script = format!("touch {}", touched.display());
    let good = Version::of(format!("#!/bin/sh\n{script}\n").into_bytes());
    let mut other = good.content.clone();
    other.push(b'#');
    let mut changed = good.content.clone();
    *changed.last_mut().unwrap() = b' ';
    for (served, reason) in [
        (changed, "SHA-256 is not the one"),
        (good.content[..10].to_vec(), "10 bytes came instead of"),
        (other, "longer than was offered"),
    ] {
        // Another digest each time, so that it is fetched at once.
        let mut version = good.clone();
        version.sha256 = format!("{:064x}", served.len());
        machine.offer(&version);
        machine.control_plane.records().served = served;
        let report = machine
            .told(UpdateOutcome::Postponed, &version.sha256)
            .await;
        let said = report.reason.unwrap();
        assert!(said.contains(reason), "{said}");
        let program = machine.path("data/update/programs").join(&version.sha256);
        assert!(!program.exists());
    }
    assert!(!touched.exists(), "something was run");
    assert_eq!(machine.installed().await, installed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_can_not_run_here_is_refused_once() {
    let machine = Machine::updating(60).await;
    let installed = machine.installed().await;
    for (content, reason) in [
        (
            "#!/bin/sh\necho no credentials >&2; exit 3\n",
            "no credentials",
        ),
        ("this is no program", "it can't be run"),
    ] {
        let version = Version::of(content.into());
        let before = machine.control_plane.records().downloads;
        machine.offer(&version);
        let report = machine.told(UpdateOutcome::Rejected, &version.sha256).await;
        let said = report.reason.unwrap();
        assert!(said.contains(reason), "{said}");
        machine.beats(4).await;
        assert_eq!(machine.control_plane.records().downloads, before + 1);
    }
    assert_eq!(machine.installed().await, installed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_crashes_is_given_up_for_the_one_before() {
    let mut machine = Machine::updating(60).await;
    let spec = machine.tool("good", GOOD);
    machine.run(&spec).await;
    let installed = machine.installed().await;
    let starts = machine.path("starts");
    let bad = Version::script(&format!("echo start >>{}; exit 7", starts.display()));
    machine.offer(&bad);
    let report = machine.told(UpdateOutcome::Rejected, &bad.sha256).await;
    assert_eq!(report.to_version.as_deref(), Some("9.9.9"));
    assert!(report.reason.unwrap().contains("exit status: 7"));
    machine.runs(&installed).await;
    machine.phase(spec.instance_id, Phase::Running).await;

    // It is still offered, and not tried again: not now, and not after a restart.
    let count = || fs::read_to_string(&starts).unwrap().lines().count();
    machine.beats(4).await;
    machine.kill();
    machine.start().await;
    machine.runs(&installed).await;
    machine.beats(4).await;
    assert_eq!(count(), 3);

    // Another one gets its chance.
    let good = Version::real("good");
    machine.offer(&good);
    machine.told(UpdateOutcome::Installed, &good.sha256).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_not_heard_is_given_up_for_the_one_before() {
    let mut machine = Machine::updating(2).await;
    let installed = machine.installed().await;
    let pid_file = machine.path("pid");
    let silent = Version::script(&format!(
        "trap '' TERM; echo $$ >{}; while :; do sleep 1; done",
        pid_file.display()
    ));
    machine.offer(&silent);
    let report = machine.told(UpdateOutcome::Rejected, &silent.sha256).await;
    let said = report.reason.unwrap();
    assert!(said.contains("did not hear it within 2 s"), "{said}");
    machine.runs(&installed).await;
    let pid = fs::read_to_string(pid_file).unwrap();
    assert!(
        !fs::exists(format!("/proc/{}", pid.trim())).unwrap(),
        "it still runs"
    );
    machine.beats(4).await;
    assert_eq!(machine.control_plane.records().downloads, 1);
    assert!(machine.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_asked_for_in_the_middle_of_a_trial_is_one() {
    let mut machine = Machine::updating(60).await;
    let starts = machine.path("starts");
    let slow = Version::script(&format!(
        "echo start >>{}; trap 'exit 0' TERM; while :; do sleep 0.05; done",
        starts.display()
    ));
    machine.offer(&slow);
    let count = || {
        fs::read_to_string(&starts)
            .unwrap_or_default()
            .lines()
            .count()
    };
    for tries in 1..=5 {
        machine
            .until("it is tried", async || (count() == tries).then_some(()))
            .await;
        // That says nothing of the version: it is tried again, however often.
        assert!(machine.terminate().await.success());
        machine.spawn();
    }
    machine.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_are_for_us_only_and_updates_can_be_turned_off() {
    let mut machine = Machine::updating(60).await;
    machine.installed().await;
    let version = Version::real("new");
    machine.offer(&version);
    machine
        .told(UpdateOutcome::Installed, &version.sha256)
        .await;
    for directory in ["data/update", "data/update/programs"] {
        let mode = fs::metadata(machine.path(directory)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o700, "{directory}");
    }

    machine.kill();
    machine.configure("self_update = false\nupdate_pause_seconds = 0");
    machine.start().await;
    machine.offer(&Version::real("newer"));
    let downloads = machine.control_plane.records().downloads;
    machine.beats(4).await;
    assert_eq!(machine.control_plane.records().downloads, downloads);
}
