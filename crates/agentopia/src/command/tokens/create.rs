//! `agentopia tokens create`.

use std::time::Duration;

use agentopia_api::token::CreatePersonalTokenRequest;
use agentopia_domain::name::Name;
use agentopia_domain::token::Scope;
use clap::ValueEnum;

use super::show_once;
use crate::app::App;
use crate::failure::Failure;
use crate::values::{duration, name};

/// Make a personal token for scripts and print it. It is shown this once and never again.
///
/// Give it to this program in AGENTOPIA_TOKEN, or to the API as `Authorization: Bearer pat_...`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tokens create backup --scope read
  agentopia tokens create ci --scope write --expires 30d -q")]
pub(crate) struct Args {
    /// What it is for.
    #[arg(value_parser = name)]
    name: Name,
    /// What it may do; may be given several times. `write` includes `read`; `admin` includes neither.
    #[arg(long, value_enum, default_values_t = [May::Write])]
    scope: Vec<May>,
    /// How long it lasts, at most 366d; 90 days unless given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum May {
    /// See everything of yours.
    Read,
    /// See and change everything of yours.
    Write,
    /// Manage users and the catalog.
    Admin,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let scopes = args.scope.iter().map(|may| match may {
        May::Read => Scope::Read,
        May::Write => Scope::Write,
        May::Admin => Scope::Admin,
    });
    let request = CreatePersonalTokenRequest {
        name: args.name,
        scopes: scopes.collect(),
        expires_in_seconds: args.expires.map(|span| span.as_secs().max(1)),
    };
    let created = app.client()?.create_token(&request).await?;
    show_once(app, &created)
}
