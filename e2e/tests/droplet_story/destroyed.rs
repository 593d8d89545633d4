//! A droplet that somebody destroyed is made anew, with everything that ran on it.

use agentopia_domain::environment::EnvironmentStatus;
use agentopia_test_support::wait_for;

use crate::firewall;
use crate::story::{BOOT, HEALED, Story};

pub(crate) async fn is_rebuilt(story: &Story) -> anyhow::Result<()> {
    let admin = &story.cluster.admin;
    let old = story.cluster.machine().await?;
    story.cluster.simulator.destroy(old.id).await?;
    wait_for(HEALED + BOOT, "another machine to serve", async || {
        let environment = admin.environment().await?;
        anyhow::ensure!(
            environment.status == EnvironmentStatus::Active
                && environment.machine_id != Some(old.id.to_string()),
            "{environment:?}"
        );
        Ok(())
    })
    .await?;
    let new = story.cluster.machine().await?;
    assert_ne!(new.id, old.id);
    story.serves(HEALED).await?;
    // One request each, and none that nobody asked for; the firewall holds for the new one.
    story.was_created(2).await?;
    firewall::is_the_only_one(story).await
}
