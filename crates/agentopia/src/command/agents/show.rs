//! `agentopia agents show`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::{ago, fields};
use crate::{resolve, values};

/// Show one agent: its address, description and age.
///
/// `agentopia agents links AGENT` shows which tools it may use, `agentopia agents discovery AGENT`
/// what it can use right now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents show helper")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let agent = resolve::agent(&app.client()?, &args.agent).await?;
    app.out.result(&agent, || {
        fields(&[
            ("name", agent.name.to_string()),
            ("id", agent.id.to_string()),
            ("description", agent.description.clone()),
            ("address", agent.mcp_url.clone()),
            ("tools", sees(agent.search_mode).to_owned()),
            ("calls a day", values::limit_text(agent.calls_per_day)),
            ("made", ago(app.now(), agent.created_at)),
            ("changed", ago(app.now(), agent.updated_at)),
        ])
    })
}

const fn sees(search_mode: bool) -> &'static str {
    if search_mode {
        "found with find_tool, called with call_tool"
    } else {
        "all listed"
    }
}
