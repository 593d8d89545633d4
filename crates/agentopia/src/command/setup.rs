//! `agentopia setup`: makes the first admin of a new server.

use std::path::PathBuf;

use agentopia_api::auth::SetupRequest;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::auth::login;
use crate::app::{App, url_argument};
use crate::client::{Client, Credentials};
use crate::failure::Failure;
use crate::input::Questions;

/// Make the first admin of a new server, and sign in as that admin.
///
/// The server prints a one-time set-up token when it starts and nobody can sign in yet. You are
/// asked for that token, an e-mail address and a password of 12 characters or more. In a script,
/// give them on standard input, one a line, in this order: the token (unless --token-file is
/// given), the e-mail address (unless --email is given), the password.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia setup
  agentopia setup --url http://127.0.0.1:8080 --email me@example.com
  printf '%s\\n' \"$PASSWORD\" | agentopia setup --email me@example.com \\
      --token-file ~/.local/state/agentopia/setup-token")]
pub(crate) struct Args {
    /// The server's address; AGENTOPIA_URL or http://127.0.0.1:8080 unless given.
    #[arg(long, value_parser = url_argument)]
    url: Option<Url>,
    /// A file with the set-up token; the server keeps it as `setup-token` in its data directory.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// What the admin signs in with.
    #[arg(long)]
    email: Option<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let url = app.server(args.url.as_ref())?;
    let mut questions = Questions::new();
    let token = match &args.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::Usage(format!(
                    "--token-file: {} can't be read: {error}",
                    path.display()
                ))
            })?;
            SecretString::from(text.trim())
        }
        None => from_link(&questions.secret("set-up token").await?),
    };
    let email = match args.email {
        Some(email) => email,
        None => questions.answer("e-mail address").await?,
    };
    let password = questions.new_secret("password").await?;
    let client = Client::new(url, Credentials::Nobody)?;
    let signed_in = client
        .set_up(&SetupRequest {
            token,
            email,
            password,
        })
        .await?;
    login::keep(app, signed_in, None).await
}

/// The server prints the token in a link; whoever copies all of it means the token.
fn from_link(text: &SecretString) -> SecretString {
    let text = text.expose_secret().trim();
    let token = text.rsplit_once("?token=").map_or(text, |(_, token)| token);
    SecretString::from(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_as_good_as_its_token() {
        for text in [
            "setup_abc",
            " setup_abc",
            "http://127.0.0.1:8080/setup?token=setup_abc",
        ] {
            assert_eq!(
                from_link(&SecretString::from(text)).expose_secret(),
                "setup_abc"
            );
        }
    }
}
