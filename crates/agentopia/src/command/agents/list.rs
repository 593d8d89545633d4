//! `agentopia agents list`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, short};

/// List your AI agents and their addresses.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents list")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let agents = app.client()?.agents().await?;
    app.out.result(&agents, || {
        let mut table = Table::new(
            ["NAME", "ADDRESS", "MADE", "DESCRIPTION"],
            "no agents yet; make one with: agentopia agents create NAME",
        );
        for agent in &agents {
            table.row([
                agent.name.to_string(),
                agent.mcp_url.clone(),
                ago(app.now(), agent.created_at),
                short(&agent.description),
            ]);
        }
        table.text()
    })
}
