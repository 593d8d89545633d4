//! `agentopia calls`: who called what.

mod counts;
mod list;
mod show;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Counts(counts::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::List(args) => list::run(&args, app).await,
            Self::Show(args) => show::run(&args, app).await,
            Self::Counts(args) => counts::run(&args, app).await,
        }
    }
}
