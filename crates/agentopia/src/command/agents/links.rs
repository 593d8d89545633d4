//! `agentopia agents links`.

use std::collections::BTreeMap;

use agentopia_domain::InstanceId;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, joined};
use crate::resolve;

/// List the tools that an agent may use.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents links helper")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let links = client.links(agent.id).await?;
    let names: BTreeMap<InstanceId, String> = if app.out.is_json() || links.is_empty() {
        BTreeMap::new()
    } else {
        let instances = client.instances(false).await?;
        let name = |one: agentopia_api::instance::Instance| (one.id, one.name.to_string());
        instances.into_iter().map(name).collect()
    };
    app.out.result(&links, || {
        let mut table = Table::new(
            [
                "TOOL",
                "ENABLED",
                "FUNCTIONS",
                "RENAMED",
                "OWN SECRETS",
                "LINKED",
            ],
            "no links yet; make one with: agentopia agents link AGENT TOOL",
        );
        for link in &links {
            let policy = &link.policy;
            let renamed = policy.renamed_tools.iter();
            table.row([
                names
                    .get(&link.instance_id)
                    .cloned()
                    .unwrap_or_else(|| link.instance_id.to_string()),
                if link.enabled { "yes" } else { "no" }.to_owned(),
                policy
                    .allowed_tools
                    .as_ref()
                    .map_or_else(|| "all".to_owned(), joined),
                joined(renamed.map(|(from, to)| format!("{from}={to}"))),
                joined(link.secrets.keys()),
                ago(app.now(), link.created_at),
            ]);
        }
        table.text()
    })
}
