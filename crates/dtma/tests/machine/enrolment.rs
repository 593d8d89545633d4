//! How a machine gets, keeps and loses the control plane's trust (DTMA-2).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::machine::tools::GOOD;
use crate::machine::{Machine, files};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_enrols_and_the_token_is_gone() {
    let machine = Machine::running().await;
    assert!(!machine.path("token").exists());
    let info = machine.client().info().await.unwrap();
    assert_eq!(info.machine.runtime, "process");
    assert_eq!(Some(info.machine.port), machine.port());
    assert!(info.machine.capacity.memory_bytes > 0 && info.machine.capacity.disk_bytes > 0);
    for (path, _) in files(&machine.path("data/identity")) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    let log = machine.log();
    assert!(log.contains("WITHOUT the isolation"), "{log}");
    assert!(!log.contains("enr_") && !log.contains("dtma_"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_asked_for_again() {
    let mut machine = Machine::new().await;
    machine.control_plane.records().lose_answers = 2;
    machine.start().await;
    assert!(!machine.path("token").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_the_token_was_used_is_no_end() {
    let mut machine = Machine::new().await;
    // Every answer is lost: the token is used, the machine has nothing.
    machine.control_plane.records().lose_answers = u32::MAX;
    machine.spawn();
    machine
        .control_plane
        .until("an enrolment", |records| {
            (records.lose_answers < u32::MAX).then_some(())
        })
        .await;
    machine.kill();
    machine.control_plane.records().lose_answers = 0;
    machine.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_token_ends_the_dtma_with_a_sentence() {
    let machine = Machine::running().await;
    let token = machine.path("token");
    machine.control_plane.token(&token);
    let text = fs::read(&token).unwrap();
    let mut second = Machine::new().await;
    // The same token at another machine, after the first has used it.
    drop(machine);
    fs::write(second.path("token"), text).unwrap();
    second.spawn();
    assert!(!second.exit().await.success());
    let log = second.log();
    assert!(log.contains("get a new one"), "{log}");
    assert!(!second.path("data/identity/identity.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_it_says_what_is_missing() {
    let mut machine = Machine::new().await;
    fs::remove_file(machine.path("token")).unwrap();
    machine.spawn();
    assert!(!machine.exit().await.success());
    assert!(
        machine.log().contains("enrolment_token_file"),
        "{}",
        machine.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_renewed_in_time_without_a_gap() {
    let mut machine = Machine::new().await;
    machine.control_plane.records().lifetime = Duration::from_secs(6);
    machine.start().await;
    let spec = machine.tool("good", GOOD);
    machine.run(&spec).await;
    machine
        .control_plane
        .until("two renewals", |records| {
            (records.renewals >= 2).then_some(())
        })
        .await;
    // Heartbeats go on with the new credentials, and commands come in with the new certificate.
    let beats = machine.control_plane.records().heartbeats.len();
    machine
        .control_plane
        .until("more heartbeats", |records| {
            (records.heartbeats.len() > beats + 1).then_some(())
        })
        .await;
    assert_eq!(machine.client().instances().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_was_away_past_its_certificates_end_comes_back() {
    let mut machine = Machine::new().await;
    machine.control_plane.records().lifetime = Duration::from_secs(3);
    machine.start().await;
    machine.kill();
    // Real time has to pass: the end of a certificate is checked by TLS against the real clock.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = machine.control_plane.records().heartbeats.len();
    machine.control_plane.records().lifetime = Duration::from_secs(3600);
    machine.start().await;
    machine
        .control_plane
        .until("a heartbeat", |records| {
            (records.heartbeats.len() > before).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_whose_answer_was_lost_is_repeated_also_after_a_crash() {
    let mut machine = Machine::new().await;
    machine.control_plane.records().lifetime = Duration::from_secs(6);
    machine.start().await;
    machine.control_plane.records().lose_answers = u32::MAX;
    machine
        .control_plane
        .until("a renewal", |records| (records.renewals >= 1).then_some(()))
        .await;
    machine.kill();
    let renewals = {
        let mut records = machine.control_plane.records();
        records.lose_answers = 0;
        records.lifetime = Duration::from_secs(3600);
        records.heartbeats.clear();
        records.renewals
    };
    machine.start().await;
    machine
        .control_plane
        .until("a heartbeat after a renewal", |records| {
            (records.renewals > renewals && !records.heartbeats.is_empty()).then_some(())
        })
        .await;
    assert!(
        !machine.control_plane.records().locked,
        "no clone: the same machine asked again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_machine_obeys_nobody_keeps_its_tools_and_can_be_unlocked() {
    let machine = Machine::running().await;
    let spec = machine.tool("good", GOOD);
    machine.run(&spec).await;
    machine.control_plane.records().locked = true;
    let other = machine.tool("good", GOOD);
    let refused = machine
        .until("it is locked", async || {
            machine.client().put(&spec).await.err()
        })
        .await;
    assert_eq!(refused.code(), Some("machine_locked"));
    assert!(machine.client().put(&other).await.is_err());
    let (client, message) = (machine.client(), Bytes::from_static(b"{}"));
    let asked = client.mcp(
        spec.instance_id,
        None,
        Method::POST,
        HeaderMap::new(),
        message,
    );
    assert_eq!(asked.await.unwrap().status(), StatusCode::FORBIDDEN);
    let info = machine.client().info().await.unwrap();
    assert_eq!(
        info.instances[0].phase,
        agentopia_domain::observed::Phase::Running
    );
    assert_eq!(info.instances.len(), 1, "nothing changed");
    assert!(machine.log().contains("locked both"), "{}", machine.log());

    machine.control_plane.records().locked = false;
    machine
        .until("it is unlocked", async || {
            machine.client().put(&other).await.ok()
        })
        .await;
    machine
        .phase(
            other.instance_id,
            agentopia_domain::observed::Phase::Running,
        )
        .await;
}
