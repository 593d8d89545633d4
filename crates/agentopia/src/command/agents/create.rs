//! `agentopia agents create`.

use agentopia_api::agent::CreateAgentRequest;
use agentopia_domain::name::Name;

use crate::app::App;
use crate::command::tools::quoted;
use crate::failure::Failure;
use crate::values::{self, name};

/// Make an AI agent: one address at which it will find every tool that you link to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents create helper
  agentopia agents create helper --description 'answers questions about the weather'")]
pub(crate) struct Args {
    /// How you call it.
    #[arg(value_parser = name)]
    name: Name,
    /// A few sentences about it.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// It sees find_tool and call_tool in place of all its tools: for agents with very many.
    #[arg(long)]
    search_mode: bool,
    /// How many calls it may make in a day (UTC); as many as it likes unless given.
    #[arg(long, value_name = "N", value_parser = values::daily_limit)]
    calls_per_day: Option<u32>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let request = CreateAgentRequest {
        name: args.name,
        description: args.description,
        search_mode: args.search_mode,
        calls_per_day: args.calls_per_day.unwrap_or(0),
    };
    let agent = app.client()?.create_agent(&request).await?;
    app.out.result(&agent, || {
        format!(
            "made the agent {}; its address is {}",
            agent.name, agent.mcp_url
        )
    })?;
    let name = quoted(agent.name.as_str());
    app.out.note(&format!(
        "hint: link a tool with: agentopia agents link {name} TOOL"
    ));
    Ok(())
}
