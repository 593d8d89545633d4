//! `agentopia catalog list`.

use agentopia_api::catalog::CatalogQuery;
use agentopia_domain::catalog::CatalogStatus;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, joined};
use crate::values::{from_word, word};

/// List the tools that can be deployed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia catalog list
  agentopia catalog list --search time
  agentopia catalog list --status archived -o json")]
pub(crate) struct Args {
    /// Only tools with these words in slug, name or description.
    #[arg(long)]
    search: Option<String>,
    /// Only this category.
    #[arg(long)]
    category: Option<String>,
    /// Only this status; archived tools are left out unless asked for here.
    #[arg(long, value_parser = status, value_name = "available|beta|experimental|deprecated|archived")]
    status: Option<CatalogStatus>,
}

fn status(text: &str) -> Result<CatalogStatus, String> {
    from_word(
        text,
        "available, beta, experimental, deprecated or archived",
    )
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let query = CatalogQuery {
        search: args.search,
        category: args.category,
        status: args.status,
        ..CatalogQuery::default()
    };
    let entries = app.client()?.catalog(&query).await?;
    app.out.result(&entries, || {
        let mut table = Table::new(
            ["SLUG", "NAME", "VERSION", "STATUS", "CATEGORIES"],
            "no tool in the catalog matches",
        );
        for entry in &entries {
            let definition = &entry.definition;
            table.row([
                definition.slug.clone(),
                definition.name.to_string(),
                definition.default_version.clone(),
                word(&definition.status),
                joined(&definition.categories),
            ]);
        }
        table.text()
    })
}
