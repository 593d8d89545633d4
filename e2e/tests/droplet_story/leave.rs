//! What was enabled is disabled, and nothing of it is left: not at DigitalOcean, not on this host.

use crate::story::Story;

pub(crate) async fn nothing_behind(story: Story) -> anyhow::Result<()> {
    let cluster = story.cluster;
    let environment = cluster.admin.environment().await?;
    cluster.disable().await?;
    let tag = environment.id.to_string();
    let firewalls = cluster.simulator.list("firewalls").await?;
    // The base policy is of the installation; nothing may be of the environment or name a droplet.
    for firewall in &firewalls {
        assert!(!firewall.to_string().contains(&tag), "{firewall}");
        let droplets = firewall["droplet_ids"].as_array();
        assert!(droplets.is_none_or(Vec::is_empty), "{firewall}");
    }
    cluster.finish().await
}
