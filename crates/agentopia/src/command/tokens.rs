//! `agentopia tokens`: personal tokens. How tokens are shown, here and for agents, is here too.

mod create;
mod list;
mod revoke;

use agentopia_api::token::{CreatedToken, Token};
use clap::Subcommand;
use secrecy::ExposeSecret as _;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, ending, joined};
use crate::resolve;
use crate::values::word;

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

/// Writes a token just made: alone on standard output, so that a script can take it.
pub(super) fn show_once(app: &App, created: &CreatedToken) -> Result<(), Failure> {
    app.out
        .note("this is the only time the token is shown; keep it like a password");
    app.out
        .result(created, || created.token.expose_secret().to_owned())
}

/// Tokens for people.
pub(super) fn table(app: &App, tokens: &[Token]) -> String {
    let mut table = Table::new(
        ["NAME", "ID", "MAY", "ENDS", "LAST USED", "MADE"],
        "no tokens yet",
    );
    for token in tokens {
        let ends = match token.revoked_at {
            Some(at) => format!("revoked {}", ago(app.now(), at)),
            None => ending(app.now(), token.expires_at),
        };
        let may = if token.agent_id.is_some() {
            "act as the agent".to_owned()
        } else {
            joined(token.scopes.iter().map(word))
        };
        table.row([
            token.name.to_string(),
            token.id.to_string(),
            may,
            ends,
            token
                .last_used_at
                .map_or_else(|| "never".to_owned(), |at| ago(app.now(), at)),
            ago(app.now(), token.created_at),
        ]);
    }
    table.text()
}

/// The token that `reference` means among those not yet taken back.
pub(super) fn pick(tokens: Vec<Token>, reference: &str) -> Result<Token, Failure> {
    let alive = tokens
        .into_iter()
        .filter(|token| token.revoked_at.is_none())
        .collect();
    resolve::pick(alive, reference)
}
