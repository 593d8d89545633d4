//! `agentopia settings show`.

use super::text;
use crate::app::App;
use crate::failure::Failure;

/// Show what is decided for all agents of your account.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia settings show")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: &Args, app: &App) -> Result<(), Failure> {
    let settings = app.client()?.settings().await?;
    app.out.result(&settings, || text(&settings))
}
