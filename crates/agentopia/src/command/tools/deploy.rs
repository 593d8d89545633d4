//! `agentopia tools deploy`.

use std::collections::BTreeMap;

use agentopia_api::instance::DeployRequest;
use agentopia_domain::egress::{Destinations, Egress};
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::name::Name;
use serde_json::{Map, Value};

use super::watch::{Goal, reach};
use crate::app::App;
use crate::client::Client;
use crate::failure::Failure;
use crate::values::{self, idle, name, object, pair};
use crate::wait::WaitArgs;

/// Deploy a tool from the catalog and wait until it answers.
///
/// Your environment (the machine that tools run on) is turned on if it is not. Settings are checked
/// before anything starts; `agentopia catalog show TOOL` lists them. Secrets are named, never given
/// here: set their values before with `agentopia secrets set`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools deploy echo
  agentopia tools deploy time --name berlin --set local_timezone=Europe/Berlin
  agentopia tools deploy github --secret GITHUB_TOKEN=my-github-token
  agentopia tools deploy fetch --idle 30m
  agentopia tools deploy filesystem --config @settings.json --detach -o json
  agentopia tools deploy remote --name linear --url https://mcp.linear.app/mcp --secret TOKEN=my-linear-token
  agentopia tools deploy github --egress api.github.com:443
  agentopia tools deploy git-server --allow-from 203.0.113.0/24 --allow-from 198.51.100.7")]
pub(crate) struct Args {
    /// Slug or id of the tool in the catalog.
    tool: String,
    /// How you call it; the slug unless given, with a number if that is taken.
    #[arg(long, value_parser = name)]
    name: Option<Name>,
    /// Which version; the catalog's default unless given.
    #[arg(long)]
    version: Option<String>,
    /// Where the server is, for tools that run elsewhere and have no address in the catalog.
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Settings and secrets of a tool, as deploy and update take them.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// All settings as a JSON object; @FILE reads a file, - standard input.
    #[arg(long, value_name = "JSON")]
    pub(super) config: Option<String>,
    /// One setting; may be given several times, and wins over --config.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) set: Vec<(String, String)>,
    /// Fill an environment variable of the tool from a secret of yours, by the secret's name.
    #[arg(long, value_name = "VARIABLE=SECRET_NAME", value_parser = pair)]
    pub(super) secret: Vec<(String, String)>,
    /// An address or network that may reach the tool's own port directly, for tools that have one;
    /// may be given several times. Nobody else is let in; everybody is 0.0.0.0/0 and ::/0.
    #[arg(long, value_name = "CIDR")]
    pub(super) allow_from: Vec<String>,
    /// Where the tool may go to: `none`, `open`, or HOST:PORT (HOST:PORT/udp) of a place that it may
    /// reach; may be given several times. `*.example.com:443` is all below a domain. More than the
    /// catalog says takes an admin.
    #[arg(long, value_name = "POLICY")]
    pub(super) egress: Vec<String>,
    /// Stop the tool when nobody used it for so long; the next call starts it, and waits for that.
    /// `never` keeps it running, `inherit` is what the catalog says.
    #[arg(long, value_name = "TIME", value_parser = idle)]
    pub(super) idle: Option<IdleSetting>,
}

impl Settings {
    /// Where the tool may go to, if that was said.
    pub(super) fn egress(&self) -> Result<Option<Egress>, Failure> {
        let words: Vec<&str> = self.egress.iter().map(String::as_str).collect();
        Ok(match words[..] {
            [] => None,
            ["open"] => Some(Egress::Open),
            ["none"] => Some(Egress::None),
            _ => Some(Egress::Allow {
                to: Destinations::parse(words)
                    .map_err(|problem| Failure::Usage(format!("--egress: {problem}")))?,
            }),
        })
    }

    /// The settings: those of `--config`, or `before`, with those of `--set` on top. What a value of
    /// `--set` means is decided by the schema of the catalog entry `tool`.
    pub(super) async fn config(
        &mut self,
        client: &Client,
        tool: &str,
        before: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let mut config = match &self.config {
            Some(text) => object(text, "--config").await?,
            None => before,
        };
        if !self.set.is_empty() {
            let entry = client.catalog_entry(tool).await?;
            let pairs = std::mem::take(&mut self.set);
            config.extend(values::properties(pairs, &entry.definition.config.schema));
        }
        Ok(config)
    }
}

pub(crate) async fn run(mut args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let config = args
        .settings
        .config(&client, &args.tool, Map::new())
        .await?;
    let egress = args.settings.egress()?;
    let request = DeployRequest {
        catalog: args.tool,
        name: args.name,
        version: args.version,
        config,
        secrets: BTreeMap::from_iter(args.settings.secret),
        allow_from: args.settings.allow_from,
        egress,
        url: args.url,
        idle: args.settings.idle.unwrap_or_default(),
    };
    let instance = client.deploy(&request).await?;
    reach(app, &client, instance, Goal::Running, &args.wait).await
}
