//! `agentopia catalog`: which tools can be deployed.

mod import;
mod lint;
mod list;
mod show;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Import(import::Args),
    Lint(lint::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::List(args) => list::run(args, app).await,
            Self::Show(args) => show::run(&args, app).await,
            Self::Import(args) => import::run(&args, app).await,
            Self::Lint(args) => lint::run(&args, app).await,
        }
    }
}
