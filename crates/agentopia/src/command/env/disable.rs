//! `agentopia env disable`.

use agentopia_domain::environment::EnvironmentStatus;

use super::{failed, step};
use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::progress::Progress;
use crate::wait::{Look, WaitArgs, until};

/// Turn your environment off: stop its tools, then take the machine and everything on it down.
///
/// What tools stored on the machine is lost. Agents, links, secrets and the timeline stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia env disable
  agentopia env disable --yes --wait-timeout 10m")]
pub(crate) struct Args {
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    confirm(
        args.yes.yes,
        "This takes your machine down with everything that tools stored on it. Go on?",
    )
    .await?;
    let asked = client.disable_environment().await?;
    if args.wait.detach {
        return app.out.result(&asked, || {
            "the environment is being turned off; look with: agentopia env status".to_owned()
        });
    }
    let mut progress = Progress::new(app.out);
    progress.step(step(asked.status));
    let mut last = asked;
    let gone = until(
        args.wait.wait_timeout,
        &mut progress,
        "agentopia env status",
        async || {
            let Some(environment) = client.environment().await? else {
                return Ok(Look::Done(last.clone()));
            };
            match environment.status {
                EnvironmentStatus::Deleted => Ok(Look::Done(environment)),
                EnvironmentStatus::ErrorDeletion => Err(failed(&environment)),
                other => {
                    last = environment;
                    Ok(Look::Going(step(other).to_owned()))
                }
            }
        },
    )
    .await?;
    drop(progress);
    app.out.result(&gone, || {
        "the environment is off; nothing is left of it".to_owned()
    })
}
