//! `agentopia admin`: the installation as a whole.

mod orphans;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Orphans(orphans::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Orphans(args) => orphans::run(args, app).await,
        }
    }
}
