//! `agentopia tools upgrade`, and what a roll-back has in common with it.

use agentopia_api::instance::Instance;
use agentopia_api::version::{ChangeOptions, UpgradeRequest, VersionChange};
use agentopia_domain::instance::{DesiredInstance, InstanceStatus};
use agentopia_domain::versions::Stage;

use super::quoted;
use super::watch::{Goal, reach};
use crate::app::App;
use crate::client::Client;
use crate::failure::{Failure, Unsuccessful};
use crate::progress::Progress;
use crate::resolve;
use crate::wait::{Look, WaitArgs, until};

/// Bring a tool to another version without losing a call, and wait until that is done.
///
/// The new version is started beside the old one. Calls go to it once it answers and offers the tools that
/// agents use; the old one is kept, stopped, for `agentopia tools rollback`. If the new one is not ready in
/// time it is removed again, and the old one never stopped serving.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools upgrade echo
  agentopia tools upgrade echo --version 2.1.0
  agentopia tools upgrade notes --recreate")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// One of the tool's versions; the catalog's default unless given.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Stop the old version first: for tools whose data can't be open twice, or where there is no room for
    /// both. Calls fail or wait for some seconds.
    #[arg(long)]
    recreate: bool,
    /// Go on although the new version lacks tools that agents use.
    #[arg(long)]
    accept_missing: bool,
    /// How many seconds the new version may take to be ready, 10 to 3600.
    #[arg(long, value_name = "SECONDS")]
    within: Option<u32>,
}

impl Options {
    pub(super) const fn asked(&self) -> ChangeOptions {
        ChangeOptions {
            recreate: self.recreate,
            accept_missing: self.accept_missing,
            within_seconds: self.within,
        }
    }
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let request = UpgradeRequest {
        version: args.version,
        options: args.options.asked(),
    };
    let instance = client.upgrade(found.id, &request).await?;
    changed(app, &client, instance, &args.wait).await
}

/// Waits until a change of version is over.
pub(super) async fn changed(
    app: &App,
    client: &Client,
    asked: Instance,
    wait: &WaitArgs,
) -> Result<(), Failure> {
    let name = quoted(asked.name.as_str());
    let later = format!("agentopia tools show {name}");
    let Some(change) = asked.change.clone() else {
        // Nothing ran that could be lost: it was replaced.
        if asked.desired == DesiredInstance::Running && asked.status != InstanceStatus::Asleep {
            return reach(app, client, asked, Goal::Running, wait).await;
        }
        return app.out.result(&asked, || {
            format!(
                "{} is {} when it is started next",
                asked.name, asked.version
            )
        });
    };
    if wait.detach {
        return app.out.result(&asked, || {
            format!(
                "{} is being brought to {}; look with: {later}",
                asked.name, change.to.version
            )
        });
    }
    let id = asked.id;
    let ended = {
        let mut progress = Progress::new(app.out);
        until(wait.wait_timeout, &mut progress, &later, async || {
            let instance = client.instance(id).await?;
            Ok(match &instance.change {
                Some(change) => Look::Going(step(change)),
                None => Look::Done(instance),
            })
        })
        .await?
    };
    match &ended.change_problem {
        None => app.out.result(&ended, || {
            format!("{} is {} now", ended.name, ended.version)
        }),
        Some(problem) => Err(Failure::Unsuccessful(Box::new(Unsuccessful {
            code: "change_given_up",
            message: format!(
                "{} stays {}: {} was given up: {problem}",
                ended.name, ended.version, change.to.version
            ),
            log: Vec::new(),
            hints: vec![format!("look with: {later}")],
        }))),
    }
}

/// What is going on.
pub(super) fn step(change: &VersionChange) -> String {
    let to = &change.to.version;
    match &change.progress {
        Stage::Vacating => "stopping the old version".to_owned(),
        Stage::Starting => format!("starting {to} and looking what it offers"),
        Stage::Moved => format!("{to} serves; the old version ends its calls"),
        Stage::Abandoning { reason } => format!("giving {to} up: {reason}"),
    }
}
