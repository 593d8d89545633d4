//! `agentopia agents link`.

use std::collections::BTreeMap;

use agentopia_api::link::PutLinkRequest;
use agentopia_domain::link::LinkPolicy;

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::values::pair;

/// Let an agent use a tool, or change what it may use of it.
///
/// Linking again replaces what was set before. Function names of several tools that would collide
/// are prefixed with the tool's name by themselves. Secrets of the link's own stay until --secret or
/// --no-secrets says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents link helper echo
  agentopia agents link helper filesystem --allow read_file --allow list_directory
  agentopia agents link helper echo --rename echo=repeat
  agentopia agents link helper echo --describe 'echo=Says what the customer said'
  agentopia agents link helper github --secret GITHUB_TOKEN=my-github-token
  agentopia agents link helper echo --disabled")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// The tool's name or id.
    tool: String,
    /// Show only this function of the tool; may be given several times. All unless given.
    #[arg(long, value_name = "FUNCTION")]
    allow: Vec<String>,
    /// Show a function under another name; may be given several times.
    #[arg(long, value_name = "FUNCTION=NAME", value_parser = pair)]
    rename: Vec<(String, String)>,
    /// Describe a function in another way to this agent; may be given several times.
    #[arg(long, value_name = "FUNCTION=TEXT", value_parser = pair)]
    describe: Vec<(String, String)>,
    /// Prefix every function with the tool's name, not only those that collide.
    #[arg(long)]
    prefix: bool,
    /// Let this agent's calls reach the tool with a secret of yours, by its name, in place of the one
    /// that the tool was deployed with; may be given several times, and replaces what was there.
    #[arg(long, value_name = "VARIABLE=SECRET_NAME", value_parser = pair)]
    secret: Vec<(String, String)>,
    /// Take the link's own secrets away: the agent's calls reach the tool with the tool's own.
    #[arg(long, conflicts_with = "secret")]
    no_secrets: bool,
    /// Keep the link but switch it off.
    #[arg(long)]
    disabled: bool,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let instance = resolve::instance(&client, &args.tool).await?;
    let request = PutLinkRequest {
        enabled: !args.disabled,
        policy: LinkPolicy {
            allowed_tools: (!args.allow.is_empty()).then_some(args.allow),
            renamed_tools: BTreeMap::from_iter(args.rename),
            described_tools: BTreeMap::from_iter(args.describe),
            always_prefix: args.prefix,
        },
        secrets: (args.no_secrets || !args.secret.is_empty())
            .then(|| BTreeMap::from_iter(args.secret)),
    };
    let link = client.put_link(agent.id, instance.id, &request).await?;
    app.out.result(&link, || {
        let can = if link.enabled {
            "can use"
        } else {
            "is linked, switched off, to"
        };
        let carried: Vec<&str> = link.secrets.keys().map(String::as_str).collect();
        let with = match carried.as_slice() {
            [] => String::new(),
            names => format!(", with {} of its own", names.join(", ")),
        };
        format!("{} {can} {}{with}", agent.name, instance.name)
    })
}
