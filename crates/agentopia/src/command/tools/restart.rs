//! `agentopia tools restart`.

use super::watch::{Goal, reach};
use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::wait::WaitArgs;

/// Run a tool afresh and wait until it answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools restart echo")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let instance = client.instance_action(found.id, "restart").await?;
    reach(app, &client, instance, Goal::Running, &args.wait).await
}
