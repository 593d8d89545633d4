//! `agentopia agents token create`.

use std::time::Duration;

use agentopia_api::token::CreateAgentTokenRequest;
use agentopia_domain::name::Name;

use crate::app::App;
use crate::command::tokens;
use crate::failure::Failure;
use crate::resolve;
use crate::values::{duration, name};

/// Make a token for an agent and print it. It is shown this once and never again.
///
/// An MCP client that sends it to the agent's address acts as the agent. It is good for nothing
/// else.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents token create helper
  agentopia agents token create helper --name laptop --expires 30d
  TOKEN=$(agentopia agents token create helper -q)")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// What it is for.
    #[arg(long, default_value = "cli", value_parser = name)]
    name: Name,
    /// How long it lasts; it has no end unless given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let request = CreateAgentTokenRequest {
        name: args.name,
        expires_in_seconds: args.expires.map(|span| span.as_secs().max(1)),
    };
    let created = client.create_agent_token(agent.id, &request).await?;
    tokens::show_once(app, &created)
}
