//! `agentopia tools rm`.

use super::watch::{Goal, reach};
use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::resolve;
use crate::wait::WaitArgs;

/// Remove a tool: stop it and take it away, with its links to agents.
///
/// What it stored on the machine stays unless --purge-data is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools rm echo
  agentopia tools rm filesystem --purge-data --yes")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// Delete what it stored on the machine too.
    #[arg(long)]
    purge_data: bool,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let data = if args.purge_data {
        "and deletes its data"
    } else {
        "and keeps its data on the machine"
    };
    let question = format!("This removes {} {data}. Go on?", found.name);
    confirm(args.yes.yes, &question).await?;
    let instance = client.remove_instance(found.id, args.purge_data).await?;
    reach(app, &client, instance, Goal::Gone, &args.wait).await
}
