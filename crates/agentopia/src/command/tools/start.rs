//! `agentopia tools start`.

use super::watch::{Goal, reach};
use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::wait::WaitArgs;

/// Start a stopped tool, or try one again that failed, and wait until it answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools start echo")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let instance = client.instance_action(found.id, "start").await?;
    reach(app, &client, instance, Goal::Running, &args.wait).await
}
