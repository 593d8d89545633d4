//! `agentopia tools update`.

use std::collections::BTreeMap;

use agentopia_api::instance::UpdateInstanceRequest;
use agentopia_domain::instance::{DesiredInstance, InstanceStatus};
use agentopia_domain::name::Name;

use super::deploy::Settings;
use super::watch::{Goal, reach};
use crate::app::App;
use crate::failure::Failure;
use crate::resolve;
use crate::values::name;
use crate::wait::WaitArgs;

/// Change a tool's name, settings, secrets, who may reach it, where it may go to or its idle time, and wait until it answers again.
///
/// What you don't mention stays. --config replaces all settings, --set changes single ones; --secret
/// adds or changes single mappings, --no-secrets drops all others; --allow-from replaces all networks,
/// --egress all places that it may reach. A running tool is restarted, unless only its name, the networks or its idle time change; one that is
/// asleep stays so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools update berlin --set local_timezone=Europe/Vienna
  agentopia tools update berlin --name vienna
  agentopia tools update berlin --idle 30m
  agentopia tools update github --secret GITHUB_TOKEN=other-github-token
  agentopia tools update git-server --allow-from 198.51.100.0/24")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// A new name.
    #[arg(long, value_parser = name)]
    name: Option<Name>,
    /// Forget the mappings of secrets that are not given here.
    #[arg(long)]
    no_secrets: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(mut args: Args, app: &App) -> Result<(), Failure> {
    let settings = &args.settings;
    let changes_config = settings.config.is_some() || !settings.set.is_empty();
    let changes_secrets = args.no_secrets || !settings.secret.is_empty();
    let changes_networks = !settings.allow_from.is_empty();
    if args.name.is_none()
        && !changes_config
        && !changes_secrets
        && !changes_networks
        && settings.egress.is_empty()
        && settings.idle.is_none()
    {
        return Err(Failure::Usage(
            "say what to change: --name, --config, --set, --secret, --no-secrets, --allow-from, --egress or --idle"
                .to_owned(),
        ));
    }
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let mut request = UpdateInstanceRequest {
        name: args.name,
        idle: args.settings.idle,
        egress: args.settings.egress()?,
        ..UpdateInstanceRequest::default()
    };
    if changes_secrets {
        let mut secrets: BTreeMap<String, String> = BTreeMap::new();
        if !args.no_secrets {
            let kept = found.secrets.iter();
            secrets.extend(kept.map(|(variable, id)| (variable.clone(), id.to_string())));
        }
        secrets.extend(std::mem::take(&mut args.settings.secret));
        request.secrets = Some(secrets);
    }
    if changes_networks {
        request.allow_from = Some(std::mem::take(&mut args.settings.allow_from));
    }
    if changes_config {
        let tool = found.catalog_entry_id.to_string();
        let config = args.settings.config(&client, &tool, found.config).await?;
        request.config = Some(config);
    }
    let instance = client.update_instance(found.id, &request).await?;
    let goal = match instance.desired {
        DesiredInstance::Running if instance.status == InstanceStatus::Asleep => {
            return app.out.result(&instance, || {
                format!("{} is asleep; the next call starts it", instance.name)
            });
        }
        DesiredInstance::Running => Goal::Running,
        DesiredInstance::Stopped => Goal::Stopped,
        DesiredInstance::Removed { .. } => Goal::Gone,
    };
    reach(app, &client, instance, goal, &args.wait).await
}
