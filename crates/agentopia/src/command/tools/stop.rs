//! `agentopia tools stop`.

use super::watch::{Goal, reach};
use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::wait::WaitArgs;

/// Stop a tool and wait until it is stopped. Its settings and its data stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools stop echo")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let instance = client.instance_action(found.id, "stop").await?;
    reach(app, &client, instance, Goal::Stopped, &args.wait).await
}
