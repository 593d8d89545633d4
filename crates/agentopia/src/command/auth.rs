//! `agentopia auth`: signing in and out, and choosing between servers.

mod list;
pub(crate) mod login;
mod logout;
mod password;
mod switch;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(login::Args),
    Logout(logout::Args),
    Password(password::Args),
    List(list::Args),
    Switch(switch::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Login(args) => login::run(args, app).await,
            Self::Logout(args) => logout::run(&args, app).await,
            Self::Password(args) => password::run(&args, app).await,
            Self::List(args) => list::run(&args, app),
            Self::Switch(args) => switch::run(&args, app),
        }
    }
}
