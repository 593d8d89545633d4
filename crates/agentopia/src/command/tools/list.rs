//! `agentopia tools list`.

use super::slugs;
use super::watch::step;
use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, ago, optional, short};
use crate::values::word;

/// List your tools and where they stand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools list
  agentopia tools list -o json")]
pub(crate) struct Args {
    /// List removed tools too.
    #[arg(long)]
    removed: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let instances = client.instances(args.removed).await?;
    let slugs = if app.out.is_json() || instances.is_empty() {
        Default::default()
    } else {
        slugs(&client).await?
    };
    app.out.result(&instances, || {
        let mut table = Table::new(
            ["NAME", "TOOL", "VERSION", "STATUS", "DOING", "CHANGED"],
            "no tools yet; deploy one with: agentopia tools deploy echo",
        );
        for instance in &instances {
            let doing = match &instance.error_message {
                Some(error) => short(error),
                None => optional(instance.progress.as_ref().map(|_| step(instance))),
            };
            table.row([
                instance.name.to_string(),
                optional(slugs.get(&instance.catalog_entry_id)),
                instance.version.clone(),
                word(&instance.status),
                doing,
                ago(app.now(), instance.updated_at),
            ]);
        }
        table.text()
    })
}
