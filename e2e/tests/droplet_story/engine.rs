//! The machine's Docker Engine crashes and comes back: tools and agent go on, and the metadata service stays
//! closed.

use agentopia_test_support::wait_for;

use crate::metadata;
use crate::running::{main_process, running};
use crate::story::{BOOT, HEALED, Story, answers};

pub(crate) async fn crash_costs_no_tool(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let before = running(&machine, story).await?;
    let engine = main_process(&machine, "docker").await?;
    machine.run(&["kill", "-KILL", &engine]).await?;
    wait_for(BOOT, "systemd to start the engine again", async || {
        let now = main_process(&machine, "docker").await?;
        anyhow::ensure!(now != engine && now != "0", "it is {now}");
        machine.run(&["docker", "info"]).await
    })
    .await?;
    assert_eq!(
        running(&machine, story).await?,
        before,
        "something was started anew"
    );
    story.serves(HEALED).await?;
    answers(&story.agent, "after the engine's crash").await?;
    metadata::is_closed(story).await
}
