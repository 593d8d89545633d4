//! `agentopia settings update`.

use agentopia_api::settings::UpdateSettingsRequest;

use super::text;
use crate::app::App;
use crate::failure::Failure;
use crate::values;

/// Decide for all agents of your account whether arguments and results of calls are kept, and how many calls
/// may be made in a day. What you don't name stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia settings update --keep-payloads true
  agentopia settings update --calls-per-day 10000
  agentopia settings update --calls-per-day none")]
pub(crate) struct Args {
    #[command(flatten)]
    change: Change,
}

/// At least one of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// Whether arguments and results are kept with calls, without what looks like a secret, at most 8 KiB each.
    /// `false` also drops those that were kept.
    #[arg(long, value_name = "true|false")]
    keep_payloads: Option<bool>,
    /// How many calls all agents together may make in a day (UTC), or `none`.
    #[arg(long, value_name = "N|none", value_parser = values::daily_limit)]
    calls_per_day: Option<u32>,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let request = UpdateSettingsRequest {
        keep_payloads: args.change.keep_payloads,
        calls_per_day: args.change.calls_per_day,
    };
    let settings = app.client()?.update_settings(&request).await?;
    app.out.result(&settings, || text(&settings))
}
