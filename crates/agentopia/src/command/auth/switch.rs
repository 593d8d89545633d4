//! `agentopia auth switch NAME`.

use serde_json::json;

use crate::app::App;
use crate::failure::Failure;

/// Choose the server that commands use from now on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia auth switch tools.example.com")]
pub(crate) struct Args {
    /// The context's name, as `agentopia auth list` shows it.
    name: String,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let file = app.context_file()?;
    let mut contexts = file.load()?;
    if !contexts.switch(&args.name) {
        return Err(Failure::NotFound(format!(
            "there is no context named {}; see: agentopia auth list",
            args.name
        )));
    }
    file.save(&contexts)?;
    app.out.result(&json!({ "context": args.name }), || {
        format!("commands now use the context {}", args.name)
    })
}
