//! `agentopia tools call`.

use agentopia_api::instance::{CallRequest, CallResponse};
use agentopia_domain::InstanceId;
use serde_json::{Map, Value};

use crate::app::App;
use crate::client::Client;
use crate::failure::Failure;
use crate::resolve;
use crate::values::{self, object, pair};

/// Call a function of a tool by hand and show its answer.
///
/// `agentopia tools show TOOL --functions` lists what can be called. Exit status 1 if the function
/// answers that it failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  agentopia tools call echo echo --arg text=hello
  agentopia tools call berlin get_current_time --args '{\"timezone\":\"Europe/Berlin\"}'
  agentopia tools call echo echo --args @arguments.json -o json")]
pub(crate) struct Args {
    /// The tool's name or id.
    tool: String,
    /// The function ("tool" in MCP), by the server's own name.
    function: String,
    /// All arguments as a JSON object; @FILE reads a file, - standard input.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// One argument; may be given several times, and wins over --args.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    arg: Vec<(String, String)>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), Failure> {
    let mut arguments = match &args.args {
        Some(text) => object(text, "--args").await?,
        None => Map::new(),
    };
    let client = app.client()?;
    let instance = resolve::instance(&client, &args.tool).await?;
    if !args.arg.is_empty() {
        let schema = schema(&client, instance.id, &args.function).await?;
        arguments.extend(values::properties(args.arg, &schema));
    }
    let request = CallRequest {
        tool: args.function,
        arguments,
    };
    let response = client.call(instance.id, &request).await?;
    app.out
        .result(&response, || app.out.foreign(&text(&response)))?;
    if response.is_error {
        app.out.note("the function says that it failed");
        return Err(Failure::Said);
    }
    Ok(())
}

/// The schema of a function's arguments; `null` if the server has none, for it to judge itself.
async fn schema(client: &Client, id: InstanceId, function: &str) -> Result<Value, Failure> {
    let offered = client.instance_tools(id).await?.tools;
    let found = offered
        .iter()
        .find(|tool| tool.get("name").and_then(Value::as_str) == Some(function));
    Ok(found
        .and_then(|tool| tool.get("inputSchema"))
        .cloned()
        .unwrap_or_default())
}

/// Text blocks as they are, everything else as JSON.
pub(crate) fn text(response: &CallResponse) -> String {
    let blocks = response.result.get("content").and_then(Value::as_array);
    let parts: Vec<String> = blocks
        .into_iter()
        .flatten()
        .map(|block| match block.get("text").and_then(Value::as_str) {
            Some(text) if block.get("type").and_then(Value::as_str) == Some("text") => {
                text.to_owned()
            }
            _ => block.to_string(),
        })
        .collect();
    match response.result.get("structuredContent") {
        Some(structured) if parts.is_empty() => structured.to_string(),
        _ if parts.is_empty() => response.result.to_string(),
        _ => parts.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text_of(result: Value) -> String {
        text(&CallResponse {
            is_error: false,
            result,
            duration_ms: 1,
        })
    }

    #[test]
    fn people_get_the_text_and_what_is_no_text_as_json() {
        let image = json!({"type": "image", "data": "aGk=", "mimeType": "image/png"});
        let result = json!({"content": [{"type": "text", "text": "hi"}, image]});
        assert_eq!(text_of(result), format!("hi\n{image}"));
        assert_eq!(
            text_of(json!({"content": [], "structuredContent": {"a": 1}})),
            "{\"a\":1}"
        );
        assert_eq!(text_of(json!({"content": []})), "{\"content\":[]}");
    }
}
