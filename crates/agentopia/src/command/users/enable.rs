//! `agentopia users enable`.

use agentopia_api::user::UpdateUserRequest;

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;

/// Let somebody in again who was shut out (admins only).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia users enable you@example.com")]
pub(crate) struct Args {
    /// The user's e-mail address or id.
    user: String,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let user = resolve::pick(client.users().await?, &args.user)?;
    let user = client
        .update_user(user.id, &UpdateUserRequest { disabled: false })
        .await?;
    app.out
        .result(&user, || format!("{} can sign in again", user.email))
}
