//! Two replicas of the control plane on one PostgreSQL, behind a load balancer for machines,
//! working on the same rows while they are killed in turn (OPS-4).

use std::time::Duration;

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus as S;
use agentopia_test_support::proxy::Proxy;
use agentopia_test_support::wait::HEALED;
use agentopia_test_support::{Cluster, Database, Runtime, ports, wait_for};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_lose_nothing_when_one_dies() -> anyhow::Result<()> {
    let front = ports::block()?;
    let mut cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .database(Database::Postgres)
        .set(
            "AGENTOPIA_DTMA_ADVERTISE_URL",
            &format!("https://127.0.0.1:{front}"),
        )
        .start()
        .await?;
    let mut second = cluster.replica()?;
    second.start().await?;
    let machines = cluster.machines_url();
    let first_listener = machines.trim_start_matches("https://").parse()?;
    let second_listener = cluster.replica_machines(1);
    let mut balancer = Proxy::new(front, &[first_listener, second_listener]);
    balancer.up().await?;
    let here = cluster.admin.clone();
    let there = here.at(second.base_url());

    // Wishes at both, at the same time, for the same machine.
    let deploys = (0..6).map(|number| {
        let api = if number % 2 == 0 {
            here.clone()
        } else {
            there.clone()
        };
        async move { api.deploy("echo").await }
    });
    let mut instances = futures::future::try_join_all(deploys).await?;
    // One dies with its leases while it works; the other takes over and answers all the while.
    cluster.control_plane.kill()?;
    for instance in &instances {
        there.wait_status(instance.id, S::Running, HEALED).await?;
    }
    let environment = there
        .wait_environment(EnvironmentStatus::Active, HEALED)
        .await?;
    let names: std::collections::BTreeSet<_> = instances
        .iter()
        .map(|instance| instance.name.clone())
        .collect();
    assert_eq!(names.len(), 6, "names are unique: {names:?}");

    // Back again, the other one dies: stop half of them and remove one here.
    cluster.control_plane.start().await?;
    for instance in &instances[..3] {
        there.instance_verb(instance.id, "stop").await?;
    }
    there.remove(instances[5].id, true).await?;
    second.kill()?;
    for instance in &instances[..3] {
        here.wait_status(instance.id, S::Stopped, HEALED).await?;
    }
    here.wait_status(instances[5].id, S::Removed, HEALED)
        .await?;
    instances.truncate(5);

    // Both up: a link made here counts there at once, or within the time that a poll takes.
    second.start().await?;
    let agent = cluster
        .agent_with("a", &[instances[3].id, instances[4].id])
        .await?;
    let mut elsewhere = agent.clone();
    elsewhere.owner = there.clone();
    wait_for(
        Duration::from_secs(10),
        "the other replica to know the link",
        async || {
            let said = elsewhere.call("echo", json!({"text": "there"})).await?;
            anyhow::ensure!(said.text() == "there", "{said:?}");
            Ok(())
        },
    )
    .await?;
    assert_eq!(
        agent.call("echo", json!({"text": "here"})).await?.text(),
        "here"
    );
    // And a token taken back here is refused there within ten seconds.
    here.delete(&format!(
        "/api/v1/agents/{}/tokens/{}",
        agent.id(),
        agent.token_id
    ))
    .await?;
    wait_for(
        Duration::from_secs(10),
        "the token to be refused at the other replica",
        async || {
            anyhow::ensure!(elsewhere.tools().await.is_err(), "it still works");
            Ok(())
        },
    )
    .await?;

    // Each thing was done once: no event of a status twice in a row.
    for instance in &instances {
        let statuses = here.statuses(instance.id.as_uuid()).await?;
        let doubled = statuses.windows(2).any(|pair| pair[0] == pair[1]);
        assert!(!doubled, "two replicas wrote the same step: {statuses:?}");
    }
    let environments = here.statuses(environment.id.as_uuid()).await?;
    assert!(
        environments
            .iter()
            .filter(|status| *status == "creating")
            .count()
            == 1,
        "{environments:?}"
    );
    second.stop().await?;
    cluster.finish().await?;
    balancer.down().await;
    Ok(())
}
