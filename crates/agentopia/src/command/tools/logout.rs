//! `agentopia tools logout`.

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;

/// Forget the login at a server that runs elsewhere, and end it at its service.
///
/// Agents can't use the tool until you log in again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools logout linear")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    client.forget_login(found.id).await?;
    let now = client.instance(found.id).await?;
    app.out
        .result(&now, || format!("{} is logged out", now.name))
}
