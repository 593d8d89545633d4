//! A machine that is cut off for longer than heartbeats may stay away is `unresponsive`, and forgiven when it
//! is heard again. Its tools go on meanwhile.

use agentopia_domain::environment::EnvironmentStatus;

use crate::story::{HEALED, Story};

pub(crate) async fn is_noticed_and_forgiven(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let admin = &story.cluster.admin;
    let before = [
        machine.tool(story.echo.id).await?,
        machine.tool(story.everything.id).await?,
    ];
    machine.partition().await?;
    let silent = admin
        .wait_environment(EnvironmentStatus::Unresponsive, HEALED)
        .await?;
    assert_eq!(
        silent.machine_id,
        Some(machine.id.to_string()),
        "it is not replaced"
    );
    machine.heal().await?;
    admin
        .wait_environment(EnvironmentStatus::Active, HEALED)
        .await?;
    story.serves(HEALED).await?;
    let after = [
        machine.tool(story.echo.id).await?,
        machine.tool(story.everything.id).await?,
    ];
    assert_eq!(before, after, "the tools went on");
    Ok(())
}
