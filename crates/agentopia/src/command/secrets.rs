//! `agentopia secrets`: values that tools read when they start.

mod list;
mod rm;
mod set;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Set(set::Args),
    List(list::Args),
    Rm(rm::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Set(args) => set::run(&args, app).await,
            Self::List(args) => list::run(&args, app).await,
            Self::Rm(args) => rm::run(&args, app).await,
        }
    }
}
