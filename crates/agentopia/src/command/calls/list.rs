//! `agentopia calls list`.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_api::call::{Call, CallQuery};
use agentopia_domain::call::CallOutcome;
use uuid::Uuid;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Table, bytes};
use crate::{resolve, values};

/// Show what your agents called: which tool, when, for how long, and how it ended.
///
/// The newest call comes first, a moment after it ended. `agentopia calls show CALL` tells more of one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia calls list
  agentopia calls list --agent helper --outcome failed
  agentopia calls list --tool echo --limit 100")]
pub(crate) struct Args {
    /// Only calls by this agent (name or id).
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Only calls to this tool (name or id).
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    /// Only calls that ended so: answered, refused (the tool's server said no), limited (one too
    /// many), cancelled, or failed (the server could not be reached or broke off).
    #[arg(long, value_parser = outcome, value_name = "OUTCOME")]
    outcome: Option<CallOutcome>,
    /// How many of the last calls.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

fn outcome(text: &str) -> Result<CallOutcome, String> {
    values::from_word(text, "answered, refused, limited, cancelled or failed")
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let mut query = CallQuery {
        outcome: args.outcome,
        ..CallQuery::default()
    };
    if let Some(reference) = &args.agent {
        query.agent_id = Some(resolve::agent(&client, reference).await?.id);
    }
    if let Some(reference) = &args.tool {
        query.instance_id = Some(resolve::instance(&client, reference).await?.id);
    }
    let calls = client.calls(&query, args.limit).await?;
    // Names are for people only.
    let mut names = HashMap::new();
    if !app.out.is_json() && !calls.is_empty() {
        let (agents, instances) = tokio::try_join!(client.agents(), client.instances(true))?;
        names.extend(
            agents
                .into_iter()
                .map(|it| (it.id.as_uuid(), it.name.to_string())),
        );
        names.extend(
            instances
                .into_iter()
                .map(|it| (it.id.as_uuid(), it.name.to_string())),
        );
    }
    app.out.result(&calls, || {
        let mut table = Table::new(
            [
                "CALL", "AT", "BY", "TOOL", "CALLED", "TOOK", "IN", "OUT", "OUTCOME",
            ],
            "no calls yet",
        );
        for call in &calls {
            table.row(row(call, &names));
        }
        table.text()
    })
}

fn row(call: &Call, names: &HashMap<Uuid, String>) -> [String; 9] {
    let named = |id: Uuid| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let by = match call.agent_id {
        Some(agent) => named(agent.as_uuid()),
        None => "a person".to_owned(),
    };
    let called = match &*call.method {
        "tools/call" => call.target.clone(),
        method => format!("{method} {}", call.target),
    };
    let outcome = match call.error_code {
        Some(code) => format!("{} ({code})", values::word(&call.outcome)),
        None => values::word(&call.outcome),
    };
    [
        call.sequence.to_string(),
        call.at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        by,
        named(call.instance_id.as_uuid()),
        called,
        took(Duration::from_micros(call.duration_us)),
        bytes(call.request_bytes),
        bytes(call.response_bytes),
        outcome,
    ]
}

/// In milliseconds below ten seconds, in seconds above.
fn took(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
