//! `agentopia auth login`, also `agentopia login`.
//!
//! Signing in makes a personal token for this machine and keeps it; the session that made it ends
//! at once, and so does the token that this sign-in replaces.

use std::time::Duration;

use agentopia_api::auth::SignInRequest;
use agentopia_api::token::CreatePersonalTokenRequest;
use agentopia_domain::name::{MAX_NAME_CHARS, Name};
use agentopia_domain::token::Scope;
use agentopia_domain::user::Role;
use serde_json::json;
use url::Url;

use crate::app::{App, url_argument};
use crate::client::{Client, Credentials, SignedIn};
use crate::context::{self, Context};
use crate::failure::Failure;
use crate::input::{self, Questions};
use crate::values::duration;

/// Sign in to a server by e-mail address and password.
///
/// A personal token is made for this machine and kept in ~/.config/agentopia/contexts.toml, which
/// only you can read; the password is not kept. The sign-in gets a name (the server's host and port,
/// or what --context says), so that you can be signed in to several servers and choose with
/// `agentopia auth switch`. In a script, give the password on standard input.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia auth login
  agentopia login --url https://tools.example.com --email me@example.com
  printf '%s\\n' \"$PASSWORD\" | agentopia auth login --email me@example.com
  printf '%s\\n' \"$TOKEN\" | agentopia auth login --with-token")]
pub(crate) struct Args {
    /// The server's address; AGENTOPIA_URL or http://127.0.0.1:8080 unless given.
    #[arg(long, value_parser = url_argument)]
    url: Option<Url>,
    /// Who you are there; you are asked unless given.
    #[arg(long)]
    email: Option<String>,
    /// Read an existing personal token (pat_...) instead of e-mail address and password.
    #[arg(long, conflicts_with_all = ["email", "expires"])]
    with_token: bool,
    /// How long the sign-in lasts; 90 days unless given.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let url = app.server(args.url.as_ref())?;
    if args.with_token {
        return with_token(app, url).await;
    }
    let mut questions = Questions::new();
    let email = match args.email {
        Some(email) => email,
        None => questions.answer("e-mail address").await?,
    };
    let password = questions.secret("password").await?;
    let client = Client::new(url, Credentials::Nobody)?;
    let signed_in = client.sign_in(&SignInRequest { email, password }).await?;
    keep(app, signed_in, args.expires).await
}

async fn with_token(app: &App, url: Url) -> Result<(), Failure> {
    let token = input::secret("token").await?;
    let client = Client::new(url.clone(), Credentials::Token(token.clone()))?;
    let session = client.whoami().await?;
    let context = Context {
        url,
        email: session.user.email,
        token,
        token_id: None,
        expires_at: session.expires_at,
    };
    store(app, context).await
}

/// Makes a token in the session just begun, keeps it, and ends the session.
pub(crate) async fn keep(
    app: &App,
    signed_in: SignedIn,
    expires: Option<Duration>,
) -> Result<(), Failure> {
    // Before a token is made that could not be kept.
    app.contexts()?;
    let SignedIn { user, client } = signed_in;
    let mut scopes = vec![Scope::Read, Scope::Write];
    if user.role == Role::Admin {
        scopes.push(Scope::Admin);
    }
    let request = CreatePersonalTokenRequest {
        name: token_name()?,
        scopes,
        expires_in_seconds: expires.map(|span| span.as_secs().max(1)),
    };
    let created = client.create_token(&request).await?;
    if let Err(error) = client.sign_out().await {
        app.out.note(&format!(
            "the session of signing in could not be ended, it ends by itself: {error}"
        ));
    }
    let context = Context {
        url: client.base().clone(),
        email: user.email,
        token: created.token,
        token_id: Some(created.record.id),
        expires_at: created.record.expires_at,
    };
    store(app, context).await
}

async fn store(app: &App, context: Context) -> Result<(), Failure> {
    let file = app.context_file()?;
    let mut contexts = file.load()?;
    let name = app
        .named_context()
        .map_or_else(|| context::usual_name(&context.url), str::to_owned);
    let said = json!({
        "context": name,
        "url": context.url,
        "email": context.email,
        "expires_at": context.expires_at,
    });
    let text = format!(
        "signed in at {} as {} (context {name})",
        context.url, context.email
    );
    let replaced = contexts.put(&name, context);
    file.save(&contexts)?;
    if let Some(old) = replaced {
        super::logout::revoke(app, old).await;
    }
    app.out.result(&said, || text)
}

/// Tells the tokens of one's machines apart.
fn token_name() -> Result<Name, Failure> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    let name = machine_token(host.trim());
    Name::parse(name).map_err(|error| Failure::other(error, "the token can't be named"))
}

fn machine_token(host: &str) -> String {
    let host: String = host.chars().filter(char::is_ascii_graphic).collect();
    let host = if host.is_empty() {
        "this machine"
    } else {
        &host
    };
    format!("cli on {host}")
        .chars()
        .take(MAX_NAME_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_gives_a_name() {
        assert_eq!(machine_token("box"), "cli on box");
        for host in ["", "a b\n", "x".repeat(200).as_str(), "ü"] {
            let name = machine_token(host);
            assert!(Name::parse(name.clone()).is_ok(), "{name:?}");
        }
    }
}
