//! `agentopia tools accept`.

use super::definitions::describe;
use crate::app::App;
use crate::failure::Failure;
use crate::resolve;

/// Accept what a tool says of itself now: names, descriptions and schemas. Look at it first with
/// `agentopia tools definitions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools accept echo")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let known = client.accept_definitions(found.id).await?;
    app.out.result(&known, || describe(&known))
}
