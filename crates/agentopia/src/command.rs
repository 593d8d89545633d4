//! The commands: a folder a noun, a file a verb. Each file has what the verb takes, its help and
//! what it does; what several share is in the noun's own file.

pub(crate) mod admin;
pub(crate) mod agents;
pub(crate) mod auth;
pub(crate) mod calls;
pub(crate) mod catalog;
pub(crate) mod completions;
pub(crate) mod env;
pub(crate) mod events;
pub(crate) mod import_legacy;
pub(crate) mod openapi;
pub(crate) mod registry;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod tokens;
pub(crate) mod tools;
pub(crate) mod users;
pub(crate) mod verify;
pub(crate) mod version;

/// What every command takes that destroys something.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Yes {
    /// Go on without being asked.
    #[arg(short, long)]
    pub(crate) yes: bool,
}
