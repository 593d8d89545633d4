//! `agentopia auth password`.

use agentopia_api::auth::{ChangePasswordRequest, SignInRequest};
use serde_json::json;

use crate::app::App;
use crate::client::{Client, Credentials};
use crate::failure::Failure;
use crate::input::Questions;

/// Change your password.
///
/// Every browser session and every login of an MCP client ends; personal tokens, such as those of
/// `agentopia auth login`, stay good.
/// In a script, give the current and the new password as two lines on standard input.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia auth password
  printf '%s\\n' \"$OLD\" \"$NEW\" | agentopia auth password")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, app: &App) -> Result<(), Failure> {
    let email = app.client()?.whoami().await?.user.email;
    let mut questions = Questions::new();
    let current_password = questions.secret("current password").await?;
    let new_password = questions.new_secret("new password").await?;
    // Only a session may change the password: a token that leaked must not.
    let client = Client::new(app.server(None)?, Credentials::Nobody)?;
    let sign_in = SignInRequest {
        email: email.clone(),
        password: current_password.clone(),
    };
    let session = client.sign_in(&sign_in).await?.client;
    let request = ChangePasswordRequest {
        current_password,
        new_password,
    };
    if let Err(error) = session.change_password(&request).await {
        // Leaves nothing behind; the error is what counts.
        let _ = session.sign_out().await;
        return Err(error.into());
    }
    let said = json!({ "email": email });
    app.out
        .result(&said, || format!("changed the password of {email}"))
}
