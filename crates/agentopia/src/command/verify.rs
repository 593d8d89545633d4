//! `agentopia verify`: whether a whole installation works, and what to do where it does not (TOOL-12).
//!
//! The server looks at itself, its provider and its machines; from here come the views that only
//! an outsider has: the public address, and calls through agents' endpoints.

mod agent;
mod canary;
mod outside;

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_api::verification::Verification;
use agentopia_control_plane::config::Config;
use agentopia_domain::verification::Check;

use crate::app::App;
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Report;
use crate::values;

/// Look whether the whole installation works, and say what is wrong and what to do (admins only).
///
/// Looks at the server's configuration, database and vault; at the provider: token, scopes, droplet
/// limit, defaults, firewall, orphans; at the address that machines call; at every machine; and from
/// here at the public address: DNS, certificate, and whether this very installation answers there.
/// Nothing is changed, except by --canary.
///
/// Exit status 0 if nothing failed, 1 otherwise. A warning is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia verify
  agentopia verify --canary -o json
  AGENTOPIA_AGENT_TOKEN=agt_… agentopia verify --agent helper
  agentopia verify --config /etc/agentopia/agentopia.toml")]
pub(crate) struct Args {
    /// Also deploy the tool `echo` on your environment, call it as an agent does, and remove all of
    /// it again. The environment has to be on.
    #[arg(long)]
    canary: bool,
    /// Also ask an agent's endpoint for its tools, with one of the agent's tokens.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// A file with the agent's token; else AGENTOPIA_AGENT_TOKEN, else it is asked for.
    #[arg(long, value_name = "FILE", requires = "agent")]
    token_file: Option<PathBuf>,
    /// Also check a configuration file of the server on this machine: for a server that does not
    /// start. Environment variables count, so set those that the server gets.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long the canary may take to be deployed.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::duration)]
    wait_timeout: Duration,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let mut report = Report::default();
    if let Some(file) = &args.config {
        report.add(configuration(file, app));
    }
    let looked = look(&args, app, &mut report).await;
    match looked {
        Ok(()) => {}
        // What was found already is worth more than the exit status of a missing sign-in.
        Err(failure) if args.config.is_some() => {
            report.add(Check::failed("server", failure.message()))
        }
        Err(failure) => return Err(failure),
    }
    app.out.result(&report, || report.text())?;
    if report.has_failed() {
        return Err(Failure::Said);
    }
    Ok(())
}

async fn look(args: &Args, app: &App, report: &mut Report) -> Result<(), Failure> {
    let client = app.client()?;
    let mut progress = Progress::new(app.out);
    progress.step("asking the server to look at itself, its provider and its machines");
    let inside = match inside(&client).await? {
        Ok(inside) => inside,
        Err(check) => {
            report.add(check);
            progress.step("looking at the server's address");
            report.extend(outside::look(client.base(), None, app.now()).await);
            return Ok(());
        }
    };
    report.add(Check::ok(
        "server",
        format!("{} answers and knows you as an admin", client.base()),
    ));
    report.extend(inside.checks);
    progress.step("looking at the public address");
    match inside.public_url.parse() {
        Ok(url) => report.extend(outside::look(&url, Some(&inside.installation), app.now()).await),
        Err(_) => report.add(Check::failed(
            outside::DNS,
            format!("{} is no address: set `public_url`", inside.public_url),
        )),
    }
    if let Some(name) = &args.agent {
        progress.step("asking the agent's endpoint");
        report.add(agent::look(&client, name, args.token_file.as_deref()).await?);
    }
    report.add(if args.canary {
        canary::sing(&client, args.wait_timeout, &mut progress).await
    } else {
        Check::skipped(
            canary::NAME,
            "no tool was called; --canary deploys one and calls it",
        )
    });
    Ok(())
}

/// What the server found, or that it could not be asked. Whoever may not ask learns that as from
/// every other command.
async fn inside(client: &Client) -> Result<Result<Verification, Check>, Failure> {
    match client.verify().await {
        Ok(found) => Ok(Ok(found)),
        Err(
            error @ (ClientError::Unreachable { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Unexpected { .. }
            | ClientError::NotUnderstood { .. }),
        ) => Ok(Err(Check::failed(
            "server",
            format!(
                "{error}; look whether `agentopia serve` runs there and at its log, and check its \
                 configuration there with `agentopia verify --config FILE`"
            ),
        ))),
        Err(error) => Err(error.into()),
    }
}

/// A configuration file as a server that starts here would find it.
fn configuration(file: &Path, app: &App) -> Check {
    let name = "configuration";
    let checked = Config::load(Some(file))
        .map_err(anyhow::Error::from)
        .and_then(|config| agentopia_control_plane::serve::check(&config, app.ambient()));
    match checked {
        Ok(()) => Check::ok(name, format!("a server can start with {}", file.display())),
        Err(error) => Check::failed(name, format!("{error:#}")),
    }
}
