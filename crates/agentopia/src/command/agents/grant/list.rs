//! `agentopia agents grant list`.

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;

/// List the programs that act as an agent because somebody let them in by browser login.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents grant list helper")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let list = client.agent_grants(agent.id).await?;
    app.out.result(&list, || super::table(app, &list))
}
