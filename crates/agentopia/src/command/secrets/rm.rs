//! `agentopia secrets rm`.

use agentopia_domain::name::Name;
use serde_json::json;

use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::values::name;

/// Delete a secret. One that tools still read is kept, and you are told which tools.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia secrets rm github-token --yes")]
pub(crate) struct Args {
    /// The secret's name.
    #[arg(value_parser = name)]
    name: Name,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let question = format!("This deletes the secret {} for good. Go on?", args.name);
    confirm(args.yes.yes, &question).await?;
    client.remove_secret(args.name.as_str()).await?;
    app.out.result(&json!({ "name": args.name }), || {
        format!("deleted the secret {}", args.name)
    })
}
