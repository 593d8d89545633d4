//! `agentopia registry`: logins at container registries.

mod list;
mod login;
mod logout;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(login::Args),
    List(list::Args),
    Logout(logout::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Login(args) => login::run(args, app).await,
            Self::List(args) => list::run(&args, app).await,
            Self::Logout(args) => logout::run(&args, app).await,
        }
    }
}
