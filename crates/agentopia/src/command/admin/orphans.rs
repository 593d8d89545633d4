//! `agentopia admin orphans`: the list; removing one is in `orphans/remove.rs`.

mod remove;

use agentopia_domain::orphan::{OrphanPolicy, OrphanReason};

use crate::app::App;
use crate::command::env::price;
use crate::failure::Failure;
use crate::output::{Table, ago};
use crate::values::word;

/// Show what the provider has with this installation's mark that belongs to no environment.
///
/// The server looks every ten minutes. What it does with orphans is its setting `orphans`: `report`
/// (the default) tells of them here and in the timeline of admins; `remove` takes those away that
/// prove to be this installation's, after half an hour.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia admin orphans
  agentopia admin orphans -o json
  agentopia admin orphans remove 4711")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Remove(remove::Args),
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    match args.command {
        Some(Command::Remove(args)) => remove::run(args, app).await,
        None => list(app).await,
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let found = app.client()?.orphans().await?;
    app.out.result(&found, || {
        let mut table = Table::new(
            ["KIND", "ID", "NAME", "PRICE", "FOUND", "WHY"],
            "nothing at the provider belongs to nobody",
        );
        for orphan in &found.items {
            table.row([
                word(&orphan.kind),
                orphan.provider_id.clone(),
                orphan.name.clone(),
                orphan.monthly_price_cents.map(price).unwrap_or_default(),
                ago(app.now(), orphan.first_seen_at),
                match orphan.removal_requested_at {
                    Some(_) => "is being removed".to_owned(),
                    None => why(orphan.reason).to_owned(),
                },
            ]);
        }
        let mut text = table.text();
        if !found.items.is_empty() {
            text.push_str(match found.policy {
                OrphanPolicy::Report => {
                    "\nNothing is removed by itself: remove one with `agentopia admin orphans remove \
                     ID`, or set `orphans` to `remove`."
                }
                OrphanPolicy::Remove => {
                    "\nThose that prove to be this installation's are removed half an hour after \
                     they were found."
                }
            });
        }
        text
    })
}

fn why(reason: OrphanReason) -> &'static str {
    match reason {
        OrphanReason::Unmarked => "has our mark, but not whose it is; never removed by itself",
        OrphanReason::UnknownEnvironment => "its environment is not in the database",
        OrphanReason::Leftover => "its environment has no machine",
        OrphanReason::Duplicate => "its environment has another machine",
    }
}
