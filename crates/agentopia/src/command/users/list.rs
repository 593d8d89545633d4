//! `agentopia users list`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago};
use crate::values::word;

/// List everybody who can sign in (admins only).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia users list")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let users = app.client()?.users().await?;
    app.out.result(&users, || {
        let mut table = Table::new(["E-MAIL", "ROLE", "MAY SIGN IN", "ADDED"], "no users");
        for user in &users {
            table.row([
                user.email.clone(),
                word(&user.role),
                if user.disabled { "no" } else { "yes" }.to_owned(),
                ago(app.now(), user.created_at),
            ]);
        }
        table.text()
    })
}
