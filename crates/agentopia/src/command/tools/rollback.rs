//! `agentopia tools rollback`.

use agentopia_api::version::RollbackRequest;

use super::upgrade::{Options, changed};
use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::wait::WaitArgs;

/// Bring a tool back to the version before its last upgrade, without losing a call, and wait until that is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools rollback echo")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let request = RollbackRequest {
        options: args.options.asked(),
    };
    let instance = client.rollback(found.id, &request).await?;
    changed(app, &client, instance, &args.wait).await
}
