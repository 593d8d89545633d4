//! The life of a droplet, on a real little machine: real cloud-init runs the real user-data, systemd keeps the
//! real management agent, tools run on the machine's own Docker Engine. Only DigitalOcean's API is
//! simulated.
//!
//! One story, as a boot is dear: each step is a file, takes the [`Story`] as the step before left it, and leaves
//! an environment that serves. The order is in [`a_droplets_life`].

mod destroyed;
mod engine;
mod firewall;
mod first_call;
mod leave;
mod metadata;
mod partition;
mod power_loss;
mod running;
mod scaled;
mod story;
mod user_data;

use std::time::Instant;

use anyhow::Context as _;

use story::Story;

#[tokio::test(flavor = "multi_thread")]
async fn a_droplets_life() -> anyhow::Result<()> {
    let story = Story::begin().await?;
    let mut story = step("the first call", first_call::first_call(story)).await?;
    step("user-data", user_data::holds_no_secret(&story)).await?;
    step("metadata", metadata::is_closed_by_its_rules(&story)).await?;
    step("engine killed", engine::crash_costs_no_tool(&story)).await?;
    step("power lost", power_loss::is_survived(&mut story)).await?;
    step("scaled", scaled::up_and_down_and_not_at_all(&story)).await?;
    step("cut off", partition::is_noticed_and_forgiven(&story)).await?;
    step("destroyed", destroyed::is_rebuilt(&story)).await?;
    step("disabled", leave::nothing_behind(story)).await
}

/// Names the step that failed, and says how long it took.
#[expect(
    clippy::print_stderr,
    reason = "measurements that people look for in the test's output"
)]
async fn step<T>(name: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let begin = Instant::now();
    let outcome = work.await.with_context(|| format!("the step {name:?}"))?;
    eprintln!("step {name:?}: {:.1} s", begin.elapsed().as_secs_f64());
    Ok(outcome)
}
