//! `agentopia tools`: running MCP servers from the catalog. What deploying, starting, stopping and
//! removing have in common is in [`watch`].

mod accept;
pub(crate) mod call;
mod check_updates;
mod definitions;
mod deploy;
mod doctor;
mod list;
mod login;
mod logout;
mod logs;
mod restart;
mod rm;
mod rollback;
mod show;
mod start;
mod stop;
mod update;
mod upgrade;
pub(in crate::command) mod watch;

pub(crate) use watch::quoted;

use std::collections::BTreeMap;

use agentopia_api::catalog::CatalogQuery;
use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::CatalogStatus;
use clap::Subcommand;

use crate::app::App;
use crate::client::{Client, ClientError};
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Deploy(deploy::Args),
    List(list::Args),
    Show(show::Args),
    Start(start::Args),
    Stop(stop::Args),
    Restart(restart::Args),
    Update(update::Args),
    CheckUpdates(check_updates::Args),
    Definitions(definitions::Args),
    Accept(accept::Args),
    Upgrade(upgrade::Args),
    Rollback(rollback::Args),
    Rm(rm::Args),
    Logs(logs::Args),
    Doctor(doctor::Args),
    Call(call::Args),
    Login(login::Args),
    Logout(logout::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Deploy(args) => deploy::run(args, app).await,
            Self::List(args) => list::run(&args, app).await,
            Self::Show(args) => show::run(&args, app).await,
            Self::Start(args) => start::run(args, app).await,
            Self::Stop(args) => stop::run(args, app).await,
            Self::Restart(args) => restart::run(args, app).await,
            Self::Update(args) => update::run(args, app).await,
            Self::Definitions(args) => definitions::run(&args, app).await,
            Self::Accept(args) => accept::run(&args, app).await,
            Self::CheckUpdates(args) => check_updates::run(&args, app).await,
            Self::Upgrade(args) => upgrade::run(args, app).await,
            Self::Rollback(args) => rollback::run(args, app).await,
            Self::Rm(args) => rm::run(args, app).await,
            Self::Logs(args) => logs::run(&args, app).await,
            Self::Doctor(args) => doctor::run(&args, app).await,
            Self::Call(args) => call::run(args, app).await,
            Self::Login(args) => login::run(args, app).await,
            Self::Logout(args) => logout::run(&args, app).await,
        }
    }
}

/// The slug of every catalog entry, archived ones too.
async fn slugs(client: &Client) -> Result<BTreeMap<CatalogEntryId, String>, ClientError> {
    let usual = client.catalog(&CatalogQuery::default()).await?;
    let archived = client
        .catalog(&CatalogQuery {
            status: Some(CatalogStatus::Archived),
            ..CatalogQuery::default()
        })
        .await?;
    Ok(usual
        .into_iter()
        .chain(archived)
        .map(|entry| (entry.id, entry.definition.slug))
        .collect())
}
