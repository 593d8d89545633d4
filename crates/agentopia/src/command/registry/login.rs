//! `agentopia registry login`.

use agentopia_api::registry_login::PutRegistryLoginRequest;

use crate::app::App;
use crate::failure::Failure;
use crate::input;

/// Let your machine pull tool images from a container registry that wants a login.
///
/// You are asked for the password without seeing it; in a script, give it on standard input. It is
/// stored encrypted and never shown again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia registry login registry.example.com --username me
  agentopia registry login 127.0.0.1:5000 --username me < password.txt")]
pub(crate) struct Args {
    /// The registry's host, with its port if it has one.
    host: String,
    /// The user name there.
    #[arg(short, long)]
    username: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let password = input::secret("password").await?;
    let request = PutRegistryLoginRequest {
        username: args.username,
        password,
    };
    let login = client.put_registry_login(&args.host, &request).await?;
    app.out.result(&login, || {
        format!("images of {} are pulled as {}", login.host, login.username)
    })
}
