//! `agentopia agents call`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_api::instance::CallResponse;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, StreamableHttpClientTransportConfig,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Map;
use tokio::time::Instant;

use crate::app::App;
use crate::command::tools::call::text;
use crate::failure::{Failure, Unsuccessful};
use crate::{input, resolve, values};

/// Call a tool as an agent does: through the agent's own address, with one of its tokens.
///
/// Shows that the agent's whole path works: token, link, name, tool. The token comes from
/// --token-file, else from AGENTOPIA_AGENT_TOKEN, else it is asked for (in a script: standard
/// input). Exit status 1 if the tool answers that it failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia agents call helper echo --args '{\"text\":\"hello\"}'
  agentopia agents call helper echo --token-file token.txt --args @arguments.json -o json")]
pub(crate) struct Args {
    /// The agent's name or id.
    agent: String,
    /// The tool, by the name that the agent sees; `agentopia agents discovery` lists them.
    tool: String,
    /// All arguments as a JSON object; @FILE reads a file.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// A file with the agent's token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long to wait for the answer.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::duration)]
    wait_timeout: Duration,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let arguments = match &args.args {
        Some(text) => values::object(text, "--args").await?,
        None => Map::new(),
    };
    let client = app.client()?;
    let agent = resolve::agent(&client, &args.agent).await?;
    let token = token(args.token_file.as_deref()).await?;
    let began = Instant::now();
    let called = call(&agent.mcp_url, &token, &args.tool, arguments);
    let result = tokio::time::timeout(args.wait_timeout, called)
        .await
        .map_err(|_| Failure::TimedOut(format!("{} did not answer in time", args.tool)))??;
    let response = CallResponse {
        is_error: result
            .get("isError")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(false),
        result,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    app.out
        .result(&response, || app.out.foreign(&text(&response)))?;
    if response.is_error {
        app.out.note("the tool says that it failed");
        return Err(Failure::Said);
    }
    Ok(())
}

/// The agent's token: from a file, from the environment, or asked for.
pub(in crate::command) async fn token(file: Option<&Path>) -> Result<SecretString, Failure> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::Usage(format!(
                "--token-file: {} can't be read: {error}",
                path.display()
            ))
        })?;
        return Ok(SecretString::from(text.trim()));
    }
    match std::env::var("AGENTOPIA_AGENT_TOKEN") {
        Ok(token) => Ok(SecretString::from(token)),
        Err(_) => input::secret("agent's token").await,
    }
}

/// Calls a tool through the agent's endpoint at `url`; the result is the protocol's own.
pub(in crate::command) async fn call(
    url: &str,
    token: &SecretString,
    tool: &str,
    arguments: Map<String, serde_json::Value>,
) -> Result<serde_json::Value, Failure> {
    let session = open(url, token).await?;
    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let answer = session.call_tool(params).await;
    // The answer counts; how the goodbye went does not.
    let _closed = session.cancel().await;
    let result = answer.map_err(not_answered)?;
    serde_json::to_value(result).map_err(|error| Failure::other(error, "the answer is no JSON"))
}

/// How many tools the agent's endpoint at `url` offers.
pub(in crate::command) async fn tools(url: &str, token: &SecretString) -> Result<usize, Failure> {
    let session = open(url, token).await?;
    let answer = session.list_all_tools().await;
    let _closed = session.cancel().await;
    Ok(answer.map_err(not_answered)?.len())
}

async fn open(
    url: &str,
    token: &SecretString,
) -> Result<RunningService<RoleClient, ClientConfig>, Failure> {
    let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned())
        .auth_header(token.expose_secret());
    let transport = StreamableHttpClientTransport::from_config(config);
    let own = Implementation::new("agentopia-cli", env!("CARGO_PKG_VERSION"));
    let opened = ClientConfig::new(ClientCapabilities::default(), own)
        .serve(transport)
        .await;
    opened.map_err(|error| not_opened(&error))
}

fn not_answered(error: ServiceError) -> Failure {
    match error {
        ServiceError::McpError(error) => Failure::Unsuccessful(Box::new(Unsuccessful {
            code: "mcp_error",
            message: format!("the agent's endpoint answered: {}", error.message),
            log: Vec::new(),
            hints: vec!["agentopia agents discovery AGENT shows what it can use".to_owned()],
        })),
        other => Failure::other(other, "the call did not go through"),
    }
}

/// Why the agent's address opened no session. The library's own text names its types, which help
/// nobody; a refused token is told apart from the rest by its source.
fn not_opened(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<AuthRequiredError>().is_some() {
            return refused_token();
        }
        cause = inner.source();
    }
    // Behind a boxed error the source is not always kept; its text is.
    if error.to_string().to_lowercase().contains("auth required") {
        return refused_token();
    }
    Failure::Other(anyhow::anyhow!(
        "the agent's address did not open an MCP session; `agentopia agents show AGENT` and the \
         server's log say more"
    ))
}

fn refused_token() -> Failure {
    Failure::NotSignedIn(
        "the agent's token was refused: it is wrong, expired or revoked, or of another agent; make \
         one with `agentopia agents token create AGENT`"
            .to_owned(),
    )
}
