//! `agentopia tools definitions`.

use agentopia_api::definition::ToolDefinitions;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{clean, fields};
use crate::resolve;

/// Show what a tool says of itself (names, descriptions, schemas) and what of it was not accepted yet.
///
/// What is new or described otherwise than what was accepted is told in the timeline. With `--hold true` agents don't
/// see it until you accept it with `agentopia tools accept`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools definitions echo
  agentopia tools definitions echo --hold true
  agentopia tools definitions echo -o json")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// Whether agents see only what was accepted.
    #[arg(long, value_name = "true|false")]
    hold: Option<bool>,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let known = match args.hold {
        Some(hold) => client.hold_definitions(found.id, hold).await?,
        None => client.definitions(found.id).await?,
    };
    app.out.result(&known, || describe(&known))
}

pub(super) fn describe(known: &ToolDefinitions) -> String {
    let accepted = known
        .accepted
        .iter()
        .filter_map(|tool| tool["name"].as_str());
    let accepted: Vec<&str> = accepted.collect();
    let held = match known.hold {
        true => "held back until accepted",
        false => "shown to agents at once",
    };
    let changes = match known.changes.is_empty() {
        true => "none".to_owned(),
        false => known.changes.words(),
    };
    fields(&[
        ("accepted", clean(&accepted.join(", "))),
        ("changes", clean(&changes)),
        ("what changes is", held.to_owned()),
    ])
}
