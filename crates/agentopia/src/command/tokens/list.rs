//! `agentopia tokens list`.

use super::table;
use crate::app::App;
use crate::failure::Failure;

/// List your personal tokens, revoked ones too, never the tokens themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tokens list")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let tokens = app.client()?.tokens().await?;
    app.out.result(&tokens, || table(app, &tokens))
}
