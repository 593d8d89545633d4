//! `agentopia version`.

use serde_json::json;

use crate::app::App;
use crate::failure::Failure;

/// Show which version of this program it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia version -o json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    app.out.result(&json!({ "version": version }), || {
        format!("agentopia {version}")
    })
}
