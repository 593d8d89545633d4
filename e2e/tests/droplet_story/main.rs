//! The life of a droplet, on a real little machine: real cloud-init runs the real user-data, systemd keeps the
//! real management agent, tools run on the machine's own Docker Engine. Only DigitalOcean's API is
//! simulated.
//!
//! One story, as a boot is dear: each step is a file, takes the [`Story`] as the step before left it, and leaves
//! an environment that serves. The order is in [`a_droplets_life`].

mod destroyed;
mod engine;
mod first_call;
mod leave;
mod metadata;
mod partition;
mod power_loss;
mod story;
mod user_data;

use story::Story;

#[tokio::test(flavor = "multi_thread")]
async fn a_droplets_life() -> anyhow::Result<()> {
    let story = Story::begin().await?;
    let mut story = first_call::first_call(story).await?;
    user_data::holds_no_secret(&story).await?;
    metadata::is_closed_by_its_rules(&story).await?;
    engine::crash_costs_no_tool(&story).await?;
    power_loss::is_survived(&mut story).await?;
    partition::is_noticed_and_forgiven(&story).await?;
    destroyed::is_rebuilt(&story).await?;
    leave::nothing_behind(story).await
}
