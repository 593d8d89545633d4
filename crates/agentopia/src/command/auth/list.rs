//! `agentopia auth list`.

use serde::Serialize;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ending};

/// List the servers you are signed in to; a star marks the one that commands use.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia auth list")]
pub(crate) struct Args {}

/// A context without its token.
#[derive(Serialize)]
struct Item<'a> {
    context: &'a str,
    current: bool,
    url: &'a url::Url,
    email: &'a str,
    expires_at: Option<chrono::DateTime<chrono::Utc>>,
}

pub(crate) fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let contexts = app.contexts()?;
    let items: Vec<Item<'_>> = contexts
        .iter()
        .map(|(name, context)| Item {
            context: name,
            current: contexts.current() == Some(name),
            url: &context.url,
            email: &context.email,
            expires_at: context.expires_at,
        })
        .collect();
    app.out.result(&items, || {
        let mut table = Table::new(
            ["", "CONTEXT", "SERVER", "E-MAIL", "ENDS"],
            "not signed in anywhere; use: agentopia auth login",
        );
        for item in &items {
            table.row([
                if item.current { "*" } else { " " }.to_owned(),
                item.context.to_owned(),
                item.url.to_string(),
                item.email.to_owned(),
                ending(app.now(), item.expires_at),
            ]);
        }
        table.text()
    })
}
