//! `agentopia agents`: AI agents, the tools they may use, their tokens.

pub(in crate::command) mod call;
mod config;
mod create;
mod discovery;
mod grant;
mod link;
mod links;
mod list;
mod rm;
mod show;
mod token;
mod unlink;
mod update;

use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Show(show::Args),
    Update(update::Args),
    Rm(rm::Args),
    Link(link::Args),
    Unlink(unlink::Args),
    Links(links::Args),
    /// Tokens with which an MCP client acts as an agent.
    #[command(subcommand)]
    Token(token::Command),
    /// Programs that act as an agent because somebody let them in by browser login.
    #[command(subcommand)]
    Grant(grant::Command),
    Call(call::Args),
    Config(config::Args),
    Discovery(discovery::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create::run(args, app).await,
            Self::List(args) => list::run(&args, app).await,
            Self::Show(args) => show::run(&args, app).await,
            Self::Update(args) => update::run(args, app).await,
            Self::Rm(args) => rm::run(args, app).await,
            Self::Link(args) => link::run(args, app).await,
            Self::Unlink(args) => unlink::run(&args, app).await,
            Self::Links(args) => links::run(&args, app).await,
            Self::Token(command) => command.run(app).await,
            Self::Grant(command) => command.run(app).await,
            Self::Call(args) => call::run(args, app).await,
            Self::Config(args) => config::run(&args, app).await,
            Self::Discovery(args) => discovery::run(&args, app).await,
        }
    }
}
