//! `agentopia registry logout`.

use serde_json::json;

use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;

/// Forget the login at a container registry. Tools that run go on; new images can't be pulled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia registry logout registry.example.com --yes")]
pub(crate) struct Args {
    /// The registry's host, with its port if it has one.
    host: String,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let question = format!("This forgets the login at {} for good. Go on?", args.host);
    confirm(args.yes.yes, &question).await?;
    client.remove_registry_login(&args.host).await?;
    app.out.result(&json!({ "host": args.host }), || {
        format!("forgot the login at {}", args.host)
    })
}
