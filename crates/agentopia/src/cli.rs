//! The command line: which commands there are, what all of them share, and how one is carried out.

use std::ffi::OsString;
use std::process::ExitCode;

use agentopia_domain::Ambient;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::app::App;
use crate::command::{
    admin, agents, auth, calls, catalog, completions, env, events, import_legacy, openapi,
    registry, secrets, serve, settings, setup, tokens, tools, users, verify, version,
};
use crate::failure::{self, Failure};
use crate::output::{Format, Output};

const AFTER_HELP: &str = "\
First steps, with a server on this machine:
  agentopia serve                              start the server; it prints a set-up token
  agentopia setup                              make the first admin (in another terminal)
  agentopia env enable                         start the machine that tools run on
  agentopia tools deploy echo                  run a tool from the catalog
  agentopia agents create helper               make an AI agent
  agentopia agents link helper echo            let the agent use the tool
  agentopia agents config helper               show how to connect an MCP client to it

Environment:
  AGENTOPIA_URL, AGENTOPIA_TOKEN   the server and a personal token, in place of signing in
  AGENTOPIA_CONFIG                 configuration file of `agentopia serve`

Exit status:
  0 done   1 error   2 wrong usage   3 not signed in   4 not found   124 timed out   130 interrupted";

/// Runs MCP servers ("tools") for AI agents and gives each agent one address to reach them all.
///
/// Tools come from a catalog, run isolated on a machine of your own, and are offered to agents over
/// the Model Context Protocol. This program is both the server (`agentopia serve`) and the command
/// line that talks to it.
#[derive(Debug, Parser)]
#[command(
    name = "agentopia",
    version,
    after_help = AFTER_HELP,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The heading in `--help` of what every command takes.
const GLOBAL: &str = "Options of every command";

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How results and errors are written: for people, or one JSON value for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT", help_heading = GLOBAL)]
    pub(crate) output: Format,
    /// Write results and errors only: no progress, no hints.
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// Use this sign-in instead of the current one; `agentopia auth list` shows them.
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Openapi(openapi::Args),
    Setup(setup::Args),
    /// Sign in to servers, sign out, and choose between them.
    #[command(subcommand)]
    Auth(auth::Command),
    Login(auth::login::Args),
    /// The machine that your tools run on.
    #[command(subcommand)]
    Env(env::Command),
    /// The catalog: which tools can be deployed.
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Your tools: running MCP servers from the catalog.
    #[command(subcommand)]
    Tools(tools::Command),
    /// Your AI agents: each has one address at which it finds the tools linked to it.
    #[command(subcommand)]
    Agents(agents::Command),
    /// Secret values that tools read when they start, for example API keys.
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Logins at container registries, for tool images that are not public.
    #[command(subcommand)]
    Registry(registry::Command),
    /// Your personal tokens, for scripts that use the API or this program.
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// What your agents called, when, for how long, and how it ended.
    #[command(subcommand)]
    Calls(calls::Command),
    /// What is decided for all agents of your account: what is kept of calls, and how many there may be.
    #[command(subcommand)]
    Settings(settings::Command),
    /// What happened in your account: the timeline and audit log.
    #[command(subcommand)]
    Events(events::Command),
    /// People who can sign in (admins only).
    #[command(subcommand)]
    Users(users::Command),
    Verify(verify::Args),
    ImportLegacy(import_legacy::Args),
    /// The installation as a whole (admins only).
    #[command(subcommand)]
    Admin(admin::Command),
    Completions(completions::Args),
    Version(version::Args),
}

/// What came of the arguments.
pub(crate) enum Parsed {
    /// A command to carry out.
    Run(Box<Cli>),
    /// Everything is said already: help, or an error.
    Said(ExitCode),
}

/// Reads the arguments. Help and errors of usage are written here.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let error = match Cli::try_parse_from(&arguments) {
        Ok(cli) => return Parsed::Run(Box::new(cli)),
        Err(error) => error,
    };
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A reader that went away (`| head`) is no error.
        let _ = error.print();
        return Parsed::Said(ExitCode::SUCCESS);
    }
    if wants_json(&arguments) {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let said = text.split("\n\nUsage:").next().unwrap_or(text).trim();
        return Parsed::Said(failure::report(
            &Failure::Usage(said.to_owned()),
            Format::Json,
        ));
    }
    let _ = error.print();
    Parsed::Said(ExitCode::from(failure::USAGE))
}

/// Whether JSON was asked for by arguments that could not be parsed.
fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    words
        .windows(2)
        .any(|pair| matches!(pair, ["-o" | "--output", "json"]))
        || words
            .iter()
            .any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
}

impl Cli {
    /// Carries the command out, and says what went wrong if something did.
    pub(crate) fn execute(self) -> ExitCode {
        let format = self.global.output;
        let result = match self.command {
            Command::Serve(args) => serve::run(args),
            command => with_client_runtime(self.global, command),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure::report(&failure, format),
        }
    }
}

/// A client has nothing to do at the same time: one thread is enough and starts fastest.
fn with_client_runtime(global: Global, command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(error, "the program could not be started"))?;
    let app = App::new(&global, Output::new(&global), Ambient::system());
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            result = Box::pin(command.run(&app)) => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    });
    // A thread that waits for a line of standard input never ends by itself.
    runtime.shutdown_background();
    result
}

impl Command {
    async fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => serve::run(args),
            Self::Openapi(args) => openapi::run(&args, app),
            Self::Setup(args) => setup::run(args, app).await,
            Self::Auth(command) => command.run(app).await,
            Self::Login(args) => auth::login::run(args, app).await,
            Self::Env(command) => command.run(app).await,
            Self::Catalog(command) => command.run(app).await,
            Self::Tools(command) => command.run(app).await,
            Self::Agents(command) => command.run(app).await,
            Self::Secrets(command) => command.run(app).await,
            Self::Registry(command) => command.run(app).await,
            Self::Tokens(command) => command.run(app).await,
            Self::Calls(command) => command.run(app).await,
            Self::Settings(command) => command.run(app).await,
            Self::Events(command) => command.run(app).await,
            Self::Users(command) => command.run(app).await,
            Self::Verify(args) => verify::run(args, app).await,
            Self::ImportLegacy(args) => import_legacy::run(args, app).await,
            Self::Admin(command) => command.run(app).await,
            Self::Completions(args) => completions::run(&args, app),
            Self::Version(args) => version::run(&args, app),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn leaves(command: &clap::Command, path: &str, visit: &mut impl FnMut(&clap::Command, &str)) {
        let path = format!("{path} {}", command.get_name());
        let mut children = command.get_subcommands().peekable();
        if children.peek().is_none() {
            visit(command, path.trim());
        }
        for child in children {
            leaves(child, &path, visit);
        }
    }

    #[test]
    fn every_argument_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for_and_shows_how() {
        let mut count = 0;
        leaves(&Cli::command(), "", &mut |command, path| {
            count += 1;
            assert!(command.get_about().is_some(), "{path} says nothing");
            let help = command
                .get_after_help()
                .unwrap_or_else(|| panic!("{path} has no example"))
                .to_string();
            assert!(help.contains("Example"), "{path}: {help}");
            assert!(help.contains(path), "{path} is not in its example: {help}");
        });
        assert!(count > 50, "{count} commands");
    }

    #[test]
    fn no_argument_takes_a_secret() {
        leaves(&Cli::command(), "", &mut |command, path| {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(
                    !matches!(name, "password" | "token" | "value" | "secret_value")
                        // The name or id of a token to revoke, not the token.
                        || path.ends_with("revoke"),
                    "{path} {name}"
                );
            }
        });
    }

    #[test]
    fn json_is_recognised_in_arguments_that_make_no_sense() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(wants_json(&words("agentopia tools -o json nonsense")));
        assert!(wants_json(&words("agentopia --output=json")));
        assert!(!wants_json(&words("agentopia tools call x json")));
    }
}
