//! `agentopia settings`: what is decided for all agents of the account.

mod show;
mod update;

use agentopia_api::settings::Settings;
use clap::Subcommand;

use crate::app::App;
use crate::failure::Failure;
use crate::output::fields;
use crate::values;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Show(show::Args),
    Update(update::Args),
}

impl Command {
    pub(crate) async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Show(args) => show::run(&args, app).await,
            Self::Update(args) => update::run(&args, app).await,
        }
    }
}

fn text(settings: &Settings) -> String {
    let kept = match settings.keep_payloads {
        true => "kept, without what looks like a secret",
        false => "not kept",
    };
    fields(&[
        ("arguments and results", kept.to_owned()),
        ("calls a day", values::limit_text(settings.calls_per_day)),
    ])
}
