//! `agentopia agents unlink`.

use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;

/// Take a tool away from an agent. The tool itself stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents unlink helper echo")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// The tool's name or id.
    tool: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let instance = resolve::instance(&client, &args.tool).await?;
    client.remove_link(agent.id, instance.id).await?;
    let said = json!({ "agent_id": agent.id, "instance_id": instance.id });
    app.out.result(&said, || {
        format!("{} can no longer use {}", agent.name, instance.name)
    })
}
