//! `agentopia secrets list`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, joined};

/// List your secrets, which tools read them and the links of which agents carry them, never their values.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia secrets list")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let secrets = app.client()?.secrets().await?;
    app.out.result(&secrets, || {
        let mut table = Table::new(
            ["NAME", "REVISION", "CHANGED", "USED BY", "CARRIED BY"],
            "no secrets yet; set one with: agentopia secrets set NAME",
        );
        for secret in &secrets {
            table.row([
                secret.name.to_string(),
                secret.revision.to_string(),
                ago(app.now(), secret.updated_at),
                joined(secret.used_by.iter().map(|user| &user.instance_name)),
                joined(secret.carried_by.iter().map(|link| &link.agent_name)),
            ]);
        }
        table.text()
    })
}
