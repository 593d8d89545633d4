//! `agentopia agents grant`: MCP clients that somebody let in by browser login.

mod list;
mod revoke;

use agentopia_api::grant::Grant;
use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, clean, ending};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Revoke(revoke::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::List(args) => list::run(&args, app).await,
            Self::Revoke(args) => revoke::run(&args, app).await,
        }
    }
}

fn table(app: &App, grants: &[Grant]) -> String {
    let mut table = Table::new(
        [
            "PROGRAM",
            "ID",
            "ANSWERED AT",
            "LAST TOKEN",
            "ENDS UNLESS USED",
        ],
        "no program was let in by browser login",
    );
    for grant in grants {
        table.row([
            clean(&grant.client_name),
            grant.id.to_string(),
            clean(&grant.client_host),
            grant
                .last_used_at
                .map_or_else(|| "never".to_owned(), |at| ago(app.now(), at)),
            ending(app.now(), Some(grant.expires_at)),
        ]);
    }
    table.text()
}
