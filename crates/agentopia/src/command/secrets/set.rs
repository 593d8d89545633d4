//! `agentopia secrets set`.

use agentopia_api::secret::PutSecretRequest;
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::name::Name;

use crate::app::App;
use crate::command::tools::watch;
use crate::failure::Failure;
use crate::input;
use crate::values::name;
use crate::wait::WaitArgs;

/// Set a secret, for example an API key that a tool needs.
///
/// You are asked for the value without seeing it; in a script, give it on standard input (a line end
/// at its end is dropped). It is stored encrypted and never shown again. Tools that read it are
/// restarted with the new value; the command waits until they answer again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia secrets set github-token
  agentopia secrets set github-token < token.txt
  agentopia tools deploy github --secret GITHUB_TOKEN=github-token")]
pub(crate) struct Args {
    /// How you call it.
    #[arg(value_parser = name)]
    name: Name,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let value = input::secret(&format!("value of {}", args.name)).await?;
    let secret = client
        .put_secret(args.name.as_str(), &PutSecretRequest { value })
        .await?;
    if !args.wait.detach && secret.revision > 1 {
        for reader in &secret.used_by {
            let instance = client.instance(reader.instance_id).await?;
            // What is stopped takes the new value when it is started.
            if instance.desired == DesiredInstance::Running {
                watch::until_running(app, &client, instance, &args.wait).await?;
            }
        }
    }
    app.out.result(&secret, || {
        let users = secret.used_by.len();
        match (secret.revision, users) {
            (1, _) => format!("set {}", secret.name),
            (revision, 0) => format!("set {} (revision {revision})", secret.name),
            (revision, users) => format!(
                "set {} (revision {revision}); tools that use it from now on: {users}",
                secret.name
            ),
        }
    })
}
