//! `agentopia agents rm`.

use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::resolve;

/// Remove an agent with its tokens and links. The tools themselves stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents rm helper
  agentopia agents rm helper --yes")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let question = format!(
        "This removes the agent {}; clients that use its tokens stop working. Go on?",
        agent.name
    );
    confirm(args.yes.yes, &question).await?;
    client.remove_agent(agent.id).await?;
    app.out
        .result(&agent, || format!("removed the agent {}", agent.name))
}
