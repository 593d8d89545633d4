//! `agentopia env scale`.

use agentopia_api::environment::{Environment, ScaleEnvironmentRequest};
use agentopia_domain::environment::EnvironmentStatus;

use super::{doing, price};
use crate::app::App;
use crate::command::Yes;
use crate::failure::{Failure, Unsuccessful};
use crate::input::confirm;
use crate::progress::Progress;
use crate::wait::{Look, WaitArgs, until};

/// Give your machine another size.
///
/// Its tools stop for some minutes while the machine is off, and come back by themselves. When
/// anything goes wrong it goes on with the size that it has. Its disk stays as it is, so that the
/// way back stays open.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia env sizes
  agentopia env scale s-2vcpu-4gb
  agentopia env scale s-2vcpu-4gb --yes --wait-timeout 30m")]
pub(crate) struct Args {
    /// The size, by the name that `agentopia env sizes` shows.
    #[arg(value_name = "SIZE")]
    size: String,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    confirm(
        args.yes.yes,
        "This stops your tools for some minutes while the machine is off. Go on?",
    )
    .await?;
    let size = args.size;
    let request = ScaleEnvironmentRequest { size: size.clone() };
    let asked = client.scale_environment(&request).await?;
    if args.wait.detach {
        return app.out.result(&asked, || {
            "the size is being changed; look with: agentopia env status".to_owned()
        });
    }
    let mut progress = Progress::new(app.out);
    progress.step(&doing(&asked));
    let ended = until(
        args.wait.wait_timeout,
        &mut progress,
        "agentopia env status",
        async || {
            let Some(environment) = client.environment().await? else {
                return Err(Failure::NotFound("the environment is gone".to_owned()));
            };
            judge(environment, &size)
        },
    )
    .await?;
    drop(progress);
    app.out.result(&ended, || {
        let cost = ended.monthly_price_cents.map(price);
        let cost = cost.map(|cost| format!(" ({cost})")).unwrap_or_default();
        format!("the machine has the size {size} now{cost}")
    })
}

/// Whether it is over, and well.
fn judge(environment: Environment, size: &str) -> Result<Look<Environment>, Failure> {
    use EnvironmentStatus as S;
    match environment.status {
        S::Scaling => Ok(Look::Going(doing(&environment))),
        S::Active if environment.size.as_deref() == Some(size) => Ok(Look::Done(environment)),
        _ => {
            let message = environment
                .error_message
                .unwrap_or_else(|| super::step(environment.status).to_owned());
            Err(Failure::Unsuccessful(Box::new(Unsuccessful {
                code: "scaling_failed",
                message,
                log: Vec::new(),
                hints: vec!["see how the machine is: agentopia env status".to_owned()],
            })))
        }
    }
}
