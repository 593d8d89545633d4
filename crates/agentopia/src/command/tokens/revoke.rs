//! `agentopia tokens revoke`.

use super::pick;
use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;

/// Take a personal token back; whoever uses it is refused from then on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia tokens revoke ci --yes")]
pub(crate) struct Args {
    /// The token's name or id, as the list shows it.
    token: String,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let token = pick(client.tokens().await?, &args.token)?;
    let question = format!("This ends the token {}. Go on?", token.name);
    confirm(args.yes.yes, &question).await?;
    client.revoke_token(token.id).await?;
    app.out
        .result(&token, || format!("took the token {} back", token.name))
}
