//! `agentopia agents grant revoke`.

use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::resolve;

/// Shut a program out that was let in by browser login. Its tokens end at once; it has to ask again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentopia agents grant revoke helper Cursor --yes")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// The program's name or the grant's id, as the list shows it.
    grant: String,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let grant = resolve::pick(client.agent_grants(agent.id).await?, &args.grant)?;
    let name = crate::output::clean(&grant.client_name);
    let question = format!("This shuts {name} out of {}. Go on?", agent.name);
    confirm(args.yes.yes, &question).await?;
    client.revoke_grant(grant.id).await?;
    app.out.result(&grant, || format!("shut {name} out"))
}
