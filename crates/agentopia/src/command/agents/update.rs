//! `agentopia agents update`.

use agentopia_api::agent::UpdateAgentRequest;
use agentopia_domain::name::Name;

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::values::{self, name};

/// Change an agent: its name, its description, how it sees its tools, or how much it may call. What you don't
/// name stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents update helper --name weather
  agentopia agents update weather --search-mode true
  agentopia agents update weather --calls-per-day 1000")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    #[command(flatten)]
    change: Change,
}

/// At least one of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// Another name.
    #[arg(long = "name", value_name = "NAME", value_parser = name)]
    new_name: Option<Name>,
    /// Another description.
    #[arg(long)]
    description: Option<String>,
    /// Whether it sees find_tool and call_tool in place of all its tools.
    #[arg(long, value_name = "true|false")]
    search_mode: Option<bool>,
    /// How many calls it may make in a day (UTC), or `none`.
    #[arg(long, value_name = "N|none", value_parser = values::daily_limit)]
    calls_per_day: Option<u32>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let request = UpdateAgentRequest {
        name: args.change.new_name,
        description: args.change.description,
        search_mode: args.change.search_mode,
        calls_per_day: args.change.calls_per_day,
    };
    let agent = client.update_agent(agent.id, &request).await?;
    app.out
        .result(&agent, || format!("changed the agent {}", agent.name))
}
