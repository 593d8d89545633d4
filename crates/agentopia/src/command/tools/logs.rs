//! `agentopia tools logs`.

use agentopia_api::instance::{LogLine, LogStream};

use crate::app::App;
use crate::failure::{Failure, Unsuccessful};
use crate::resolve;

/// Show what a tool wrote to its standard output and standard error.
///
/// With -o json and without --follow the result is one array; with --follow it is one object a line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools logs echo
  agentopia tools logs echo -f --tail 10 --timestamps")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// Go on as lines come, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines, at most 10,000.
    #[arg(long, value_name = "LINES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    tail: u32,
    /// Put the time in front of each line.
    #[arg(short, long)]
    timestamps: bool,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let instance = resolve::instance(&client, &args.tool).await?;
    let mut reader = client.logs(instance.id, args.tail, args.follow).await?;
    let collect = app.out.is_json() && !args.follow;
    let mut lines = Vec::new();
    let mut ended_early = None;
    while let Some(line) = reader.next().await? {
        if line.stream == LogStream::Error {
            ended_early = Some(line.line.clone());
            // Programs that follow get it as any other line; people get it as an error.
            if !app.out.is_json() {
                continue;
            }
        }
        if collect {
            lines.push(line);
        } else {
            app.out.item(&line, || text(app, args, &line))?;
        }
    }
    if collect {
        app.out.result(&lines, String::new)?;
    }
    match ended_early {
        Some(message) => Err(Failure::Unsuccessful(Box::new(Unsuccessful {
            code: "log_ended_early",
            message: format!("the log ended early: {message}"),
            log: Vec::new(),
            hints: Vec::new(),
        }))),
        None => {
            if args.follow {
                app.out.note("the log ended");
            }
            Ok(())
        }
    }
}

fn text(app: &App, args: &Args, line: &LogLine) -> String {
    let said = app.out.foreign(&line.line);
    let text = match line.at {
        Some(at) if args.timestamps => {
            let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            format!("{at} {said}")
        }
        _ => said,
    };
    // An empty line is a line, too.
    text + "\n"
}
