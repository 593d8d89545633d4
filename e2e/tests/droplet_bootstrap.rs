//! First starts that don't go well: the user sees why, and what can go on goes on.

use std::time::Duration;

use agentopia_api::event::Event;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::event::Outcome;
use agentopia_test_support::{DropletCluster, binaries, wait_for};

/// For a machine to boot, on a busy host.
const BOOT: Duration = Duration::from_secs(120);

/// Waits for the report of a phase.
async fn reported(cluster: &DropletCluster, phase: &str, outcome: &str) -> anyhow::Result<Event> {
    wait_for(BOOT, &format!("the report {phase} {outcome}"), async || {
        let environment = cluster.admin.environment().await?.id;
        let timeline = cluster.admin.timeline(environment.as_uuid()).await?;
        let mut reports = timeline
            .into_iter()
            .filter(|event| event.kind == "environment.bootstrap");
        let found = reports.find(|it| it.data["phase"] == phase && it.data["outcome"] == outcome);
        found.ok_or_else(|| anyhow::anyhow!("it is not in the timeline"))
    })
    .await
}

/// The agent that is served is a program that does not know what it is asked, as one that can't be started.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_agent_does_not_start_says_so() -> anyhow::Result<()> {
    let wrong = binaries::static_build("tool-init")?;
    let wrong = wrong.to_string_lossy();
    let cluster = DropletCluster::start_with(&[("AGENTOPIA_DTMA_BINARY", &wrong)]).await?;
    cluster.admin.enable().await?;
    let event = reported(&cluster, "download", "failed").await?;
    assert_eq!(event.outcome, Outcome::Failed);
    assert_eq!(
        event.message,
        "The machine's first start failed at: download."
    );
    let log = event.data["log"].as_str().unwrap_or_default();
    assert!(
        log.contains("/dtma.new: OK") && log.contains("failed with status"),
        "{log}"
    );
    assert!(!log.contains("enr_"), "{log}");
    // It is still to be taken away without a word from the machine.
    cluster.disable().await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_loses_power_on_its_way_goes_on() -> anyhow::Result<()> {
    let cluster = DropletCluster::start().await?;
    cluster.admin.enable().await?;
    reported(&cluster, "docker", "started").await?;
    let machine = cluster.machine().await?;
    machine.lose_power().await?;
    // The control plane turns on what is off before it was heard.
    let environment = cluster
        .admin
        .wait_environment(EnvironmentStatus::Active, BOOT)
        .await?;
    assert_eq!(
        environment.machine_id,
        Some(machine.id.to_string()),
        "it was made anew"
    );
    let creations = cluster.simulator.creations().await?;
    assert_eq!(
        creations[format!("env:{}", environment.id)]["requests"],
        1,
        "{creations}"
    );
    cluster.disable().await?;
    cluster.finish().await
}
