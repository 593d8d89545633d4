//! A client of the modern era (2026-07-28): one POST a request, no session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use super::Called;

/// The revision it speaks.
pub(super) const VERSION: &str = "2026-07-28";
/// No answer of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// See the module's header.
#[derive(Debug)]
pub struct ModernClient {
    http: reqwest::Client,
    url: String,
    token: String,
    next_id: AtomicU64,
}

/// The endpoint, or the server behind it, said no.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {body}")]
pub struct ModernError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON-RPC code, where the answer is one of JSON-RPC.
    pub code: Option<i64>,
    /// The whole answer.
    pub body: Value,
}

impl ModernClient {
    /// # Errors
    /// Never in practice.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: crate::api::http_client()?,
            url: url.to_owned(),
            token: token.to_owned(),
            next_id: AtomicU64::new(1),
        })
    }

    /// The request for a method, to be changed before it is sent.
    pub fn request(&self, method: &str, mut params: Value) -> (reqwest::RequestBuilder, Value) {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(VERSION);
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        params["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({"name": "agentopia-tests", "version": "1"});
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let name = params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .map(str::to_owned);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut request = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .timeout(LIMIT)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header("MCP-Protocol-Version", VERSION)
            .header("Mcp-Method", method);
        if let Some(name) = name {
            request = request.header("Mcp-Name", name);
        }
        (request, body)
    }

    /// Sends a request and gives its result.
    ///
    /// # Errors
    /// [`ModernError`] for what was refused, anything else for what did not get through.
    pub async fn ask(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let (request, body) = self.request(method, params);
        let answer = request.json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let answer = last_message(&text, &body["id"])
            .with_context(|| format!("{status}: no answer of JSON-RPC: {text}"));
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) if !status.is_success() => {
                let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
                return Err(ModernError {
                    status,
                    code: None,
                    body,
                }
                .into());
            }
            Err(error) => return Err(error),
        };
        match answer.get("result") {
            Some(result) if status.is_success() => Ok(result.clone()),
            _ => {
                let code = answer["error"]["code"].as_i64();
                Err(ModernError {
                    status,
                    code,
                    body: answer,
                }
                .into())
            }
        }
    }

    /// The tools' definitions.
    ///
    /// # Errors
    /// See [`Self::ask`].
    pub async fn tool_definitions(&self) -> anyhow::Result<Vec<Value>> {
        let result = self.ask("tools/list", json!({})).await?;
        result["tools"]
            .as_array()
            .cloned()
            .context("the answer has no tools")
    }

    /// The tools' names.
    ///
    /// # Errors
    /// See [`Self::ask`].
    pub async fn tools(&self) -> anyhow::Result<Vec<String>> {
        let tools = self.tool_definitions().await?;
        Ok(tools
            .iter()
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// See [`Self::ask`].
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Called> {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await
            .map(Called)
    }
}

/// The answer with this id, in a body that is JSON or a stream of server-sent events.
fn last_message(text: &str, id: &Value) -> Option<Value> {
    let is_answer = |message: &Value| {
        message["id"] == *id || (message.get("error").is_some() && message["id"].is_null())
    };
    let whole = serde_json::from_str::<Value>(text).ok().filter(is_answer);
    whole.or_else(|| {
        text.lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok())
            .find(is_answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_in_json_and_in_streams() {
        let id = json!(2);
        assert!(last_message(r#"{"id":2,"result":1}"#, &id).is_some());
        assert!(last_message(r#"{"id":3,"result":1}"#, &id).is_none());
        assert!(last_message(r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, &id).is_some());
        let stream =
            "event: message\ndata: {\"method\":\"x\"}\n\ndata: {\"id\":2,\"result\":7}\n\n";
        assert_eq!(last_message(stream, &id).unwrap()["result"], 7);
    }
}
