//! `agentopia users`: people who can sign in; for admins.

mod create;
mod disable;
mod enable;
mod list;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Create(create::Args),
    Disable(disable::Args),
    Enable(enable::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::List(args) => list::run(&args, app).await,
            Self::Create(args) => create::run(args, app).await,
            Self::Disable(args) => disable::run(&args, app).await,
            Self::Enable(args) => enable::run(&args, app).await,
        }
    }
}
