//! `agentopia agents config`.

use agentopia_api::client_config;
use clap::ValueEnum;

use crate::app::App;
use crate::failure::Failure;
use crate::resolve;

/// Print how to connect an MCP client to an agent: where the configuration goes, and what it is.
///
/// No token is ever part of it: make one with `agentopia agents token create AGENT` and put it where
/// the configuration says.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents config helper
  agentopia agents config helper --client claude
  agentopia agents config helper --client cursor -q > .cursor/mcp.json")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// For which client; `json` is what most others read.
    #[arg(long, value_enum, default_value_t = For::Json)]
    client: For,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    Claude,
    Vscode,
    Cursor,
    Json,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), Failure> {
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let wanted = match args.client {
        For::Claude => client_config::Client::Claude,
        For::Vscode => client_config::Client::Vscode,
        For::Cursor => client_config::Client::Cursor,
        For::Json => client_config::Client::Json,
    };
    let config = client.agent_config(agent.id, wanted).await?;
    app.out.note(&format!("# goes into {}", config.destination));
    app.out.result(&config, || {
        serde_json::to_string_pretty(&config.config).unwrap_or_else(|_| config.config.to_string())
    })?;
    if let Some(command) = &config.command {
        app.out.note(&format!("# or run: {command}"));
    }
    if serde_json::to_string(&config.config)
        .is_ok_and(|text| text.contains(&config.token_placeholder))
    {
        app.out.note(&format!(
            "# put a token in place of {}: agentopia agents token create {}",
            config.token_placeholder,
            crate::command::tools::quoted(agent.name.as_str())
        ));
    }
    Ok(())
}
