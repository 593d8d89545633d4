//! `agentopia admin orphans remove`.

use agentopia_api::orphan::{Orphan, RemoveOrphanRequest};
use agentopia_domain::orphan::OrphanReason;

use super::why;
use crate::app::App;
use crate::command::Yes;
use crate::failure::Failure;
use crate::input::confirm;
use crate::values::word;

/// Remove an orphan at the provider, whatever the server's setting `orphans` is.
///
/// What has this installation's mark but not whose it is may be somebody else's: look at it in the
/// provider's control panel first, and repeat its name with --name. An orphan stays in the list
/// until the provider itself says that it is gone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia admin orphans remove 4711
  agentopia admin orphans remove 4711 --name web-1 --yes")]
pub(crate) struct Args {
    /// Its id, as `agentopia admin orphans` shows it.
    id: String,
    /// Its name, where nothing else proves that it is this installation's.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = client.orphans().await?;
    let orphan = one(&found.items, &args.id)?;
    if orphan.reason == OrphanReason::Unmarked && args.name.is_none() {
        return Err(Failure::Usage(format!(
            "the {} {} {}, so it may be somebody else's: look at it in the provider's control \
             panel, and give --name {} if it is to go",
            word(&orphan.kind),
            orphan.provider_id,
            why(orphan.reason),
            orphan.name,
        )));
    }
    let question = format!(
        "This deletes the {} {} ({}) at the provider, with everything on it. Go on?",
        word(&orphan.kind),
        orphan.provider_id,
        orphan.name,
    );
    confirm(args.yes.yes, &question).await?;
    let request = RemoveOrphanRequest { name: args.name };
    let asked = client.remove_orphan(orphan.id, &request).await?;
    app.out.result(&asked, || {
        format!(
            "{} is being removed; `agentopia admin orphans` shows it until the provider says that \
             it is gone, and `agentopia events list` how it went",
            asked.provider_id
        )
    })
}

/// The provider's ids of machines and firewalls look different; ours is taken too.
fn one<'a>(orphans: &'a [Orphan], id: &str) -> Result<&'a Orphan, Failure> {
    let named = |orphan: &&Orphan| orphan.provider_id == id || orphan.id.to_string() == id;
    orphans.iter().find(named).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no orphan {id}; `agentopia admin orphans` lists those that the last search \
             found"
        ))
    })
}
