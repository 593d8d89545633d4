//! `agentopia calls counts`.

use std::collections::HashMap;

use crate::app::App;
use crate::failure::Failure;
use crate::output::Table;

/// Show how many calls were made in a day (UTC), by each agent and by all: what `--calls-per-day` limits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia calls counts --days 30")]
pub(crate) struct Args {
    /// How many days, today among them.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let counts = client.call_counts(args.days).await?;
    // Names are for people only.
    let mut names = HashMap::new();
    if !app.out.is_json() && !counts.items.is_empty() {
        let agents = client.agents().await?;
        names.extend(agents.into_iter().map(|it| (it.id, it.name.to_string())));
    }
    app.out.result(&counts, || {
        let mut table = Table::new(["DAY", "BY", "CALLS"], "no calls yet");
        for count in &counts.items {
            let by = match count.agent_id {
                None => "everybody".to_owned(),
                Some(id) => names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
            };
            table.row([count.day.to_string(), by, count.calls.to_string()]);
        }
        table.text()
    })
}
