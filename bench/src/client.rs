//! A client of the session era that costs next to nothing: what is measured is the product, not the
//! start of a client. Connections are kept by the HTTP client that is handed in.

use agentopia_test_support::TestAgent;
use anyhow::Context as _;
use serde_json::{Value, json};

const PROTOCOL_VERSION: &str = "2025-11-25";

/// An open session at an agent's endpoint.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    agent: &'a TestAgent,
    url: String,
    id: String,
}

impl<'a> Session<'a> {
    /// `initialize`, and the notification that ends it.
    pub(crate) async fn open(agent: &'a TestAgent) -> anyhow::Result<Self> {
        let url = agentopia_api::agent::mcp_url(agent.owner.base_url(), agent.id());
        let mut session = Self {
            agent,
            url,
            id: String::new(),
        };
        let params = json!({
            "protocolVersion": PROTOCOL_VERSION, "capabilities": {},
            "clientInfo": {"name": "agentopia-bench", "version": "1"},
        });
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let answer = session.send(&message).await?;
        let id = answer
            .headers()
            .get("mcp-session-id")
            .context("no session was opened")?;
        session.id = id.to_str()?.to_owned();
        result(&answer.text().await?, 1)?;
        session
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        Ok(session)
    }

    /// Calls a tool and gives its result.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let params = json!({"name": tool, "arguments": arguments});
        let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
        result(&self.send(&message).await?.text().await?, 2)
    }

    /// Ends it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let request = self
            .agent
            .owner
            .http()
            .delete(&self.url)
            .bearer_auth(&self.agent.token);
        request
            .header("mcp-session-id", &self.id)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    async fn send(&self, message: &Value) -> anyhow::Result<reqwest::Response> {
        let mut request = self
            .agent
            .owner
            .http()
            .post(&self.url)
            .bearer_auth(&self.agent.token)
            .header("accept", "application/json, text/event-stream")
            .json(message);
        if !self.id.is_empty() {
            request = request
                .header("mcp-session-id", &self.id)
                .header("mcp-protocol-version", PROTOCOL_VERSION);
        }
        let answer = request.send().await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(answer)
    }
}

/// The result with this id, from JSON or from a stream of events that has ended.
fn result(body: &str, id: u32) -> anyhow::Result<Value> {
    let messages = body
        .lines()
        .map(|line| line.strip_prefix("data:").unwrap_or(line));
    let mut answer = messages
        .filter_map(|text| serde_json::from_str::<Value>(text).ok())
        .find(|message| message["id"] == id)
        .with_context(|| format!("no answer in {body:?}"))?;
    anyhow::ensure!(answer["error"].is_null(), "{answer}");
    Ok(answer["result"].take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_in_json_and_in_streams() {
        let answer = r#"{"jsonrpc":"2.0","id":2,"result":{"a":1}}"#;
        assert_eq!(result(answer, 2).unwrap()["a"], 1);
        let stream =
            format!("id: 1\ndata: {{\"method\":\"x\"}}\n\nevent: message\ndata: {answer}\n\n");
        assert_eq!(result(&stream, 2).unwrap()["a"], 1);
        assert!(result(&stream, 3).is_err());
        assert!(result(r#"{"jsonrpc":"2.0","id":2,"error":{"code":1}}"#, 2).is_err());
    }
}
