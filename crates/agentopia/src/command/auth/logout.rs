//! `agentopia auth logout`.

use serde_json::json;

use crate::app::App;
use crate::client::{Client, Credentials};
use crate::context::Context;
use crate::failure::Failure;

/// Sign out: take the token of this machine back and forget it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia auth logout
  agentopia auth logout --context tools.example.com")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let file = app.context_file()?;
    let mut contexts = file.load()?;
    let name = app
        .named_context()
        .or(contexts.current())
        .ok_or_else(|| Failure::NotSignedIn("not signed in".to_owned()))?
        .to_owned();
    let Some(context) = contexts.take(&name) else {
        return Err(Failure::NotFound(format!(
            "there is no context named {name}; see: agentopia auth list"
        )));
    };
    file.save(&contexts)?;
    let text = format!("signed out of {} (context {name})", context.url);
    let revoked = revoke(app, context).await;
    app.out.result(
        &json!({ "context": name, "token_revoked": revoked }),
        || text,
    )
}

/// Takes a token back that is no longer kept here. A server that can't be reached does not keep
/// anybody from signing out, but they must know that the token lives on.
pub(super) async fn revoke(app: &App, context: Context) -> bool {
    let Some(id) = context.token_id else {
        // Made elsewhere, perhaps used elsewhere.
        return false;
    };
    let url = context.url.clone();
    let revoked = async {
        Client::new(context.url, Credentials::Token(context.token))?
            .revoke_token(id)
            .await
    }
    .await;
    match revoked {
        Ok(()) => true,
        // Expired or taken back before.
        Err(crate::client::ClientError::Problem(problem)) if problem.status == 401 => true,
        Err(error) => {
            app.out.warn(&format!(
                "warning: the token {id} was forgotten here but not taken back at {url}: {error}"
            ));
            false
        }
    }
}
