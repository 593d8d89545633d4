//! `agentopia events list`.
//!
//! Following continues after the last event seen whenever the stream ends (the server ends it every
//! few minutes, and when it restarts), so that nothing is missed or shown twice.

use std::time::Duration;

use agentopia_api::event::{Event, EventQuery};
use agentopia_domain::event::{Actor, Outcome};

use crate::app::App;
use crate::client::{Client, EventStream};
use crate::failure::Failure;
use crate::output::clean;
use crate::resolve;

/// How long to wait before connecting again after the server went away.
const RETRY: Duration = Duration::from_millis(500);

/// Show what happened in your account: who did what, when, and how it ended.
///
/// The oldest of the events shown comes first. With -o json and without --follow the result is one
/// array, newest first; with --follow it is one object a line, as it happens.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia events list
  agentopia events list --tool echo --limit 100
  agentopia events list -f")]
pub(crate) struct Args {
    /// Go on as things happen, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last events.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Only events of this tool (name or id).
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let only = match &args.tool {
        Some(reference) => Some(resolve::instance(&client, reference).await?.id.as_uuid()),
        None => None,
    };
    let query = EventQuery {
        object_id: only,
        ..EventQuery::default()
    };
    // Where to continue is the newest event of all, not the newest of those shown.
    let newest = if args.follow {
        client.events(&EventQuery::default(), 1).await?
    } else {
        Vec::new()
    };
    let events = client.events(&query, args.limit).await?;
    if !args.follow {
        return app.out.result(&events, || {
            let lines: Vec<String> = events.iter().rev().map(line).collect();
            if lines.is_empty() {
                "nothing happened yet".to_owned()
            } else {
                lines.join("\n")
            }
        });
    }
    let seen = newest.first().map_or(0, |event| event.sequence);
    for event in events.iter().rev().filter(|event| event.sequence <= seen) {
        app.out.item(event, || line(event))?;
    }
    follow(app, &client, seen, |event| {
        only.is_none_or(|id| event.object_id == id)
    })
    .await
}

async fn follow(
    app: &App,
    client: &Client,
    mut seen: i64,
    wanted: impl Fn(&Event) -> bool,
) -> Result<(), Failure> {
    let mut told = false;
    loop {
        let mut stream: EventStream = match client.event_stream(Some(seen)).await {
            Ok(stream) => stream,
            Err(error) if error.is_passing() => {
                if !told {
                    app.out.note("the server does not answer, trying again");
                    told = true;
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        told = false;
        loop {
            match stream.next().await {
                Ok(Some(event)) => {
                    seen = event.sequence;
                    if wanted(&event) {
                        app.out.item(&event, || line(&event))?;
                    }
                }
                Ok(None) => break,
                Err(error) if error.is_passing() => break,
                Err(error) => return Err(error.into()),
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// One event for people.
fn line(event: &Event) -> String {
    let at = event.at.format("%Y-%m-%d %H:%M:%SZ");
    let actor = match event.actor {
        Actor::User(_) => "user",
        Actor::Agent(_) => "agent",
        Actor::Dtma(_) => "machine",
        Actor::System => "system",
        Actor::Service => "service",
        Actor::Anonymous => "anonymous",
    };
    let outcome = match event.outcome {
        Outcome::Succeeded => "",
        Outcome::Failed => "  FAILED",
        Outcome::Denied => "  DENIED",
    };
    let message = clean(&event.message.replace('\n', " "));
    format!("{at}  {actor:<9}  {:<28}  {message}{outcome}", event.kind)
}
