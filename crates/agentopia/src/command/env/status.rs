//! `agentopia env status`.

use agentopia_api::environment::EnvironmentAnswer;

use super::describe;
use crate::app::App;
use crate::failure::Failure;

/// Show where your environment stands: its machine, its address, when it last reported.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia env status
  agentopia env status -o json")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let environment = app.client()?.environment().await?;
    let answer = EnvironmentAnswer { environment };
    app.out.result(&answer, || match &answer.environment {
        Some(environment) => describe(app, environment),
        None => "never turned on; use: agentopia env enable".to_owned(),
    })
}
