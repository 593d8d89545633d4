//! `agentopia env enable`.

use agentopia_api::environment::{EnableEnvironmentRequest, Environment};
use agentopia_domain::environment::EnvironmentStatus;

use super::{failed, step};
use crate::app::App;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::wait::{Look, WaitArgs, until};

/// Turn your environment on: get the machine that your tools run on.
///
/// Every account has one machine of its own. Where it comes from is the server operator's choice:
/// this server's own machine, or one at a cloud provider. Already on: nothing happens. Deploying a
/// first tool turns it on by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia env enable
  agentopia env enable --region fra1 --size s-2vcpu-4gb")]
pub(crate) struct Args {
    /// The provider's region; the operator's default unless given.
    #[arg(long)]
    region: Option<String>,
    /// The provider's size; the operator's default unless given.
    #[arg(long)]
    size: Option<String>,
    /// The provider's image; the operator's default unless given.
    #[arg(long)]
    image: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let request = EnableEnvironmentRequest {
        region: args.region,
        size: args.size,
        image: args.image,
    };
    let mut environment = client.enable_environment(&request).await?;
    if args.wait.detach {
        return app.out.result(&environment, || {
            "the environment is being turned on; look with: agentopia env status".to_owned()
        });
    }
    let mut progress = Progress::new(app.out);
    if let Some(next) = judge(&environment)? {
        progress.step(next);
        environment = until(
            args.wait.wait_timeout,
            &mut progress,
            "agentopia env status",
            async || {
                let Some(environment) = client.environment().await? else {
                    return Err(Failure::NotFound("the environment is gone".to_owned()));
                };
                Ok(match judge(&environment)? {
                    Some(next) => Look::Going(next.to_owned()),
                    None => Look::Done(environment),
                })
            },
        )
        .await?;
    }
    drop(progress);
    app.out.result(&environment, || {
        let runtime = environment.runtime.as_deref().unwrap_or("unknown");
        format!("the environment is active (runtime: {runtime})")
    })
}

/// What it still does; `None` when it is ready.
fn judge(environment: &Environment) -> Result<Option<&'static str>, Failure> {
    match environment.status {
        EnvironmentStatus::Active => Ok(None),
        EnvironmentStatus::ErrorCreation => Err(failed(environment)),
        other => Ok(Some(step(other))),
    }
}
