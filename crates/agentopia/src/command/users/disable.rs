//! `agentopia users disable`.

use agentopia_api::user::UpdateUserRequest;

use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::resolve;

/// Shut somebody out: end their sessions and refuse their tokens at once (admins only).
///
/// Nothing of theirs is deleted; `agentopia users enable` lets them in again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia users disable you@example.com --yes")]
pub(crate) struct Args {
    /// The user's e-mail address or id.
    user: String,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let user = resolve::pick(client.users().await?, &args.user)?;
    let question = format!(
        "This shuts {} out; their agents stop working at once. Go on?",
        user.email
    );
    confirm(args.yes.yes, &question).await?;
    let user = client
        .update_user(user.id, &UpdateUserRequest { disabled: true })
        .await?;
    app.out
        .result(&user, || format!("{} can no longer sign in", user.email))
}
