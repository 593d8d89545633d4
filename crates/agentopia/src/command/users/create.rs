//! `agentopia users create`.

use agentopia_api::user::CreateUserRequest;
use agentopia_domain::user::Role;
use clap::ValueEnum;

use crate::app::App;
use crate::failure::Failure;
use crate::input::Questions;

/// Add somebody who can sign in (admins only).
///
/// You are asked for a first password of 12 characters or more; in a script, give it on standard
/// input.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia users create you@example.com
  agentopia users create you@example.com --role admin < password.txt")]
pub(crate) struct Args {
    /// What they will sign in with.
    email: String,
    /// What they may do.
    #[arg(long, value_enum, default_value_t = As::User)]
    role: As,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    /// Has an account of their own, and nothing to do with others.
    User,
    /// Manages users and the catalog besides.
    Admin,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let password = Questions::new().new_secret("password").await?;
    let request = CreateUserRequest {
        email: args.email,
        password,
        role: match args.role {
            As::User => Role::User,
            As::Admin => Role::Admin,
        },
    };
    let user = client.create_user(&request).await?;
    app.out
        .result(&user, || format!("{} can sign in now", user.email))
}
