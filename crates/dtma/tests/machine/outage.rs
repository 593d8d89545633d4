//! The control plane away: tools go on, what needs it waits and says so, heartbeats are caught up.

use agentopia_domain::observed::Phase;

use crate::machine::Machine;
use crate::machine::tools::GOOD;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_tools_without_secrets_start_and_those_with_wait() {
    let mut machine = Machine::running().await;
    machine
        .control_plane
        .records()
        .secrets
        .insert("TOKEN".to_owned(), "value".to_owned());
    let plain = machine.tool("good", GOOD);
    let mut secret = machine.tool("good", GOOD);
    secret.secret_names = vec!["TOKEN".to_owned()];
    for spec in [&plain, &secret] {
        machine.run(spec).await;
    }
    machine.serving.take().unwrap().stop().await;
    machine.kill();
    machine.start().await;
    machine.phase(plain.instance_id, Phase::Running).await;
    let waiting = machine
        .phase(secret.instance_id, Phase::WaitingForSecrets)
        .await;
    assert!(waiting.message.unwrap().contains("can't be fetched yet"));

    let before = machine.control_plane.records().heartbeats.len();
    machine.serving = Some(machine.control_plane.again().await);
    machine.phase(secret.instance_id, Phase::Running).await;
    machine
        .control_plane
        .until("heartbeats again", |records| {
            (records.heartbeats.len() > before).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_at_once_and_measurements_arrive_once() {
    let machine = Machine::running().await;
    let spec = machine.tool("good", GOOD);
    machine.run(&spec).await;
    machine
        .control_plane
        .until("a heartbeat that says it runs", |records| {
            let last = records.heartbeats.last()?;
            let shown = last
                .instances
                .iter()
                .find(|it| it.instance_id == spec.instance_id)?;
            (shown.phase == Phase::Running).then_some(())
        })
        .await;
    let samples = machine
        .control_plane
        .until("two measurements", |records| {
            let all = records.heartbeats.iter().flat_map(|beat| &beat.samples);
            let sequences: Vec<_> = all.map(|sample| sample.sequence).collect();
            (sequences.len() >= 2).then_some(sequences)
        })
        .await;
    assert!(samples.is_sorted_by(|a, b| a < b), "{samples:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_tool_can_be_removed() {
    let machine = Machine::running().await;
    let mut spec = machine.tool("good", GOOD);
    spec.secret_names = vec!["TOKEN".to_owned()];
    let mut machine = machine;
    machine.serving.take().unwrap().stop().await;
    machine.client().put(&spec).await.unwrap();
    machine
        .phase(spec.instance_id, Phase::WaitingForSecrets)
        .await;
    spec.generation += 1;
    spec.desired = agentopia_domain::instance::DesiredInstance::Removed { purge_data: true };
    machine.client().put(&spec).await.unwrap();
    machine.phase(spec.instance_id, Phase::Removed).await;
}
