//! `agentopia tools login`.

use agentopia_api::instance::Instance;
use agentopia_api::upstream_login::{LoginRequest, UpstreamLoginState};
use agentopia_domain::instance::DesiredInstance;
use chrono::{DateTime, Utc};

use super::quoted;
use super::watch::{Goal, reach};
use crate::app::App;
use crate::client::Client;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::resolve;
use crate::wait::{Look, WaitArgs, until};

/// Log in at a server that runs elsewhere, with your browser.
///
/// For servers that want OAuth. Open the address that is printed, sign in to Agentopia there, and agree
/// on the page of the server's own service. The login is renewed by itself from then on; where that
/// fails, `tools show` says so, and you log in again.
///
/// Most services let Agentopia register by itself. Where one does not, register a client there by hand,
/// with the redirect address <public address of Agentopia>/oauth/callback, and give its id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools login linear
  agentopia tools login github --client-id Iv1.abc --client-secret my-github-app
  agentopia tools login linear --detach -o json")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// The id of a client that you registered at the service by hand.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The name of the secret of yours that holds that client's secret, if it has one.
    #[arg(long, value_name = "SECRET_NAME", requires = "client_id")]
    client_secret: Option<String>,
    /// Ask for these scopes in place of what the server wants; with spaces between them.
    #[arg(long)]
    scope: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let found = resolve::instance(&client, &args.tool).await?;
    let request = LoginRequest {
        client_id: args.client_id,
        client_secret: args.client_secret,
        scope: args.scope,
    };
    let begun = client.begin_login(found.id, &request).await?;
    if args.wait.detach {
        return app.out.result(&begun, || begun.url.clone());
    }
    // On standard error, and in any case: without it nothing goes on.
    app.out.warn(&format!(
        "Open this address in your browser within 10 minutes:\n  {}",
        begun.url
    ));
    let instance = logged_in(app, &client, &found, &args.wait).await?;
    if instance.desired != DesiredInstance::Running {
        let text = || format!("{} is logged in; it is stopped", instance.name);
        return app.out.result(&instance, text);
    }
    reach(app, &client, instance, Goal::Running, &args.wait).await
}

/// Waits until the owner was at the service and back.
async fn logged_in(
    app: &App,
    client: &Client,
    before: &Instance,
    wait: &WaitArgs,
) -> Result<Instance, Failure> {
    let mut progress = Progress::new(app.out);
    let later = format!("agentopia tools show {}", quoted(before.name.as_str()));
    let last = at(before);
    until(wait.wait_timeout, &mut progress, &later, async || {
        let now = client.instance(before.id).await?;
        let is_new = at(&now).is_some() && at(&now) != last;
        let is_in = now
            .login
            .as_ref()
            .is_some_and(|login| login.state == UpstreamLoginState::LoggedIn);
        Ok(if is_new && is_in {
            Look::Done(now)
        } else {
            Look::Going("waiting for the browser".to_owned())
        })
    })
    .await
}

fn at(instance: &Instance) -> Option<DateTime<Utc>> {
    instance.login.as_ref()?.logged_in_at
}
