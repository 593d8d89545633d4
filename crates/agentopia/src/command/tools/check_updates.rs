//! `agentopia tools check-updates`.

use agentopia_api::instance::Instance;
use agentopia_api::version::Updates;
use agentopia_domain::versions::Release;

use super::quoted;
use crate::app::App;
use crate::failure::Failure;
use crate::output::fields;
use crate::resolve;

/// Look whether there is a newer version of a tool, or another image under the same tag.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tools check-updates echo")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let updates = client.updates(found.id).await?;
    app.out.result(&updates, || describe(&found, &updates))
}

fn describe(instance: &Instance, updates: &Updates) -> String {
    let newer = match (&updates.newer, &updates.problem) {
        (Some(newer), _) => format!(
            "{}; upgrade with: agentopia tools upgrade {}",
            release(newer),
            quoted(instance.name.as_str())
        ),
        (None, Some(problem)) => format!("none that is known: {problem}"),
        (None, None) => "none".to_owned(),
    };
    fields(&[
        ("current", release(&updates.current)),
        ("newer", newer),
        ("versions", updates.versions.join(", ")),
    ])
}

fn release(release: &Release) -> String {
    match &release.digest {
        Some(digest) => format!("{} ({digest})", release.version),
        None => release.version.clone(),
    }
}
