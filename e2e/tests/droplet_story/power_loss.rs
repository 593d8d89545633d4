//! A machine that loses power and gets it back serves again, without the control plane's help.

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_test_support::wait_for;

use crate::metadata;
use crate::running::running;
use crate::story::{BOOT, HEALED, Story};

pub(crate) async fn is_survived(story: &mut Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let environment = story.cluster.admin.environment().await?;
    story.cluster.control_plane.kill()?;
    machine.lose_power().await?;
    assert!(!machine.is_on().await?);
    wait_for(BOOT, "DigitalOcean to see that it is off", async || {
        let droplets = story.cluster.simulator.droplets().await?;
        anyhow::ensure!(droplets[0]["status"] == "off", "{droplets:?}");
        Ok(())
    })
    .await?;
    story.cluster.simulator.act(machine.id, "power_on").await?;
    // Nobody tells it anything: what it is to run stands in its own ledger.
    wait_for(BOOT, "both tools to run again", async || {
        running(&machine, story).await
    })
    .await?;
    let ready =
        machine.shell("cloud-init status --wait >/dev/null; cat /run/cloud-init/result.json");
    let result = ready.await?;
    assert!(result.contains("\"errors\": []"), "{result}");
    // Rules of a firewall don't outlive a boot; its own unit makes them again.
    metadata::is_closed(story).await?;
    let by_itself = running(&machine, story).await?;

    story.cluster.control_plane.start().await?;
    story
        .cluster
        .admin
        .wait_environment(EnvironmentStatus::Active, HEALED)
        .await?;
    story.serves(HEALED).await?;
    let after = story.cluster.admin.environment().await?;
    assert_eq!(
        after.machine_id, environment.machine_id,
        "it is the same machine"
    );
    assert_eq!(
        running(&machine, story).await?,
        by_itself,
        "the control plane found nothing to start"
    );
    Ok(())
}
