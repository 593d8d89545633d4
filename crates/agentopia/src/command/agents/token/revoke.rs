//! `agentopia agents token revoke`.

use crate::app::App;
use crate::command::{Yes, tokens};
use crate::failure::Failure;
use crate::input::confirm;
use crate::resolve;

/// Take a token of an agent back; clients that use it are refused from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents token revoke helper laptop --yes")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// The token's name or id, as the list shows it.
    token: String,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let token = tokens::pick(client.agent_tokens(agent.id).await?, &args.token)?;
    let question = format!(
        "This ends the token {} of {}. Go on?",
        token.name, agent.name
    );
    confirm(args.yes.yes, &question).await?;
    client.revoke_agent_token(agent.id, token.id).await?;
    app.out
        .result(&token, || format!("took the token {} back", token.name))
}
