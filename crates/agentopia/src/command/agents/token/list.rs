//! `agentopia agents token list`.

use crate::app::App;
use crate::command::tokens;
use crate::failure::Failure;
use crate::resolve;

/// List an agent's tokens, never the tokens themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents token list helper")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let list = client.agent_tokens(agent.id).await?;
    app.out.result(&list, || tokens::table(app, &list))
}
