//! `agentopia agents token`: tokens with which an MCP client acts as an agent.

mod create;
mod list;
mod revoke;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create::run(args, app).await,
            Self::List(args) => list::run(&args, app).await,
            Self::Revoke(args) => revoke::run(&args, app).await,
        }
    }
}
