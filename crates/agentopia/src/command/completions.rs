//! `agentopia completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::app::App;
use crate::cli::Cli;
use crate::failure::Failure;

/// Print a script that teaches a shell to complete the commands of this program.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia completions bash > ~/.local/share/bash-completion/completions/agentopia
  agentopia completions zsh > ~/.zfunc/_agentopia
  agentopia completions fish > ~/.config/fish/completions/agentopia.fish")]
pub(crate) struct Args {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "agentopia", &mut script);
    app.out.raw(&script)
}
