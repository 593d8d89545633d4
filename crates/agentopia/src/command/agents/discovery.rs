//! `agentopia agents discovery`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, short};
use crate::resolve;
use crate::values::word;

/// Show what an agent can use right now: every function of every linked tool.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents discovery helper
  agentopia agents discovery helper -o json")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let found = client.discovery(agent.id).await?;
    app.out.result(&found, || {
        let mut table = Table::new(
            ["FUNCTION", "TOOL", "STATUS", "DESCRIPTION"],
            "it can use nothing; link a tool with: agentopia agents link AGENT TOOL",
        );
        for server in &found.servers {
            let (name, status) = (server.instance_name.to_string(), word(&server.status));
            if server.tools.is_empty() {
                let error = short(server.error.as_deref().unwrap_or_default());
                table.row([String::new(), name, status, error]);
                continue;
            }
            for tool in &server.tools {
                let description = short(tool.description.as_deref().unwrap_or_default());
                table.row([tool.name.clone(), name.clone(), status.clone(), description]);
            }
        }
        table.text()
    })
}
