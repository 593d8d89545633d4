//! `agentopia registry list`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago};

/// List the container registries that your machine has a login for, never the passwords.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia registry list")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let logins = app.client()?.registry_logins().await?;
    app.out.result(&logins, || {
        let mut table = Table::new(
            ["REGISTRY", "USER NAME", "CHANGED"],
            "no logins at registries",
        );
        for login in &logins {
            table.row([
                login.host.clone(),
                login.username.clone(),
                ago(app.now(), login.updated_at),
            ]);
        }
        table.text()
    })
}
