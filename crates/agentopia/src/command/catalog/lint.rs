//! `agentopia catalog lint`.

use agentopia_catalog_import::lint::lint;

use super::import::file::{self, Read};
use crate::app::App;
use crate::failure::Failure;
use crate::report::Report;

/// Say what is wrong with entries that you wrote, and what would be better.
///
/// FILE is an entry of ours in TOML or JSON, or what `agentopia catalog import --dry-run -o json` printed.
/// Nothing is sent anywhere, and no server is needed.
///
/// Exit status 0 if nothing failed, 1 otherwise. A warning is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia catalog lint my-tool.toml
  agentopia catalog lint draft.json -o json
  agentopia catalog import server.json --dry-run -o json | agentopia catalog lint -")]
pub(crate) struct Args {
    /// The file, or `-` for standard input.
    file: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let unusable = |problem: &str| Failure::Usage(format!("{}: {problem}", args.file));
    let entries = match file::read_unchecked(&args.file).await? {
        Some(Read::Ours(entries)) => entries,
        Some(Read::Theirs(_)) => {
            return Err(unusable(
                "is no entry of ours: `agentopia catalog import --dry-run -o json` makes one of it, to be looked at",
            ));
        }
        None => return Err(unusable("there is no such file")),
    };
    let several = entries.len() > 1;
    let mut report = Report::default();
    for entry in &entries {
        let found = lint(entry).into_iter();
        report.extend(found.map(|check| match several {
            true => check.of(entry.slug.as_str()),
            false => check,
        }));
    }
    app.out.result(&report, || report.text())?;
    match report.has_failed() {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}
