//! `agentopia tools doctor`.

use crate::app::App;
use crate::failure::Failure;
use crate::output::clean;
use crate::report::Report;
use crate::resolve;

/// Look at everything about one of your tools, and say what keeps it from serving and what to do.
///
/// Looks at its machine, its settings, secrets and login, at its status, asks it for its functions if it
/// runs, and reads its last lines. Nothing is changed, and a tool that sleeps is not woken.
///
/// Exit status 0 if nothing failed, 1 otherwise. A warning is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools doctor echo
  agentopia tools doctor echo -o json")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let instance = resolve::instance(&client, &args.tool).await?;
    let found = client.diagnose(instance.id).await?;
    let mut report = Report::default();
    report.extend(found.checks);
    app.out.result(&report, || report.text())?;
    if !report.has_failed() {
        return Ok(());
    }
    if !found.last_words.is_empty() {
        app.out.note("its last lines:");
        for line in &found.last_words {
            app.out.note(&format!("  {}", clean(line)));
        }
    }
    Err(Failure::Said)
}
