//! A client of the session era that plays its part by hand: it hears every message of a call as it comes
//! and answers what servers ask.

use std::collections::VecDeque;
use std::time::Duration;

use agentopia_test_support::TestAgent;
use agentopia_test_support::api::http_client;
use anyhow::Context as _;
use serde_json::{Value, json};

/// No message of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// An open session.
#[derive(Debug)]
pub struct Talker {
    url: String,
    token: String,
    session: String,
    http: reqwest::Client,
}

/// The messages of an answer, as they come.
#[derive(Debug)]
pub struct Hearing {
    answer: reqwest::Response,
    text: String,
    ready: VecDeque<Value>,
}

impl Hearing {
    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The stream breaks, or is silent for a minute.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let chunk = tokio::time::timeout(LIMIT, self.answer.chunk());
            let Some(chunk) = chunk.await.context("nothing came")?? else {
                // An answer without a stream is one message.
                let rest = std::mem::take(&mut self.text);
                return Ok(serde_json::from_str(&rest).ok());
            };
            self.text.push_str(std::str::from_utf8(&chunk)?);
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let message = data.and_then(|data| serde_json::from_str(data).ok());
                self.ready.extend(message);
                self.text = rest.to_owned();
            }
        }
    }
}

impl Talker {
    /// Opens a session and says that it can answer everything a server may ask.
    ///
    /// # Errors
    /// The endpoint refuses.
    pub async fn open(agent: &TestAgent) -> anyhow::Result<Self> {
        let mut talker = Self {
            url: agent.record.mcp_url.clone(),
            token: agent.token.clone(),
            session: String::new(),
            http: http_client()?,
        };
        let params = json!({"protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}},
            "clientInfo": {"name": "talker", "version": "1"}});
        let hello =
            json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params});
        let hearing = talker.post(&hello).await?;
        let session = hearing.answer.headers().get("mcp-session-id");
        talker.session = session.context("no session")?.to_str()?.to_owned();
        talker
            .post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        Ok(talker)
    }

    /// Posts a message.
    ///
    /// # Errors
    /// It is refused.
    pub async fn post(&self, message: &Value) -> anyhow::Result<Hearing> {
        let request = self.http.post(&self.url).json(message);
        self.send(request).await
    }

    /// The session's own stream.
    ///
    /// # Errors
    /// It is refused.
    pub async fn listen(&self) -> anyhow::Result<Hearing> {
        self.send(self.http.get(&self.url)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Hearing> {
        let mut request = request
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream");
        if !self.session.is_empty() {
            request = request.header("mcp-session-id", &self.session);
        }
        let answer = request.send().await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(Hearing {
            answer,
            text: String::new(),
            ready: VecDeque::new(),
        })
    }

    /// Asks for something and hears it to the end, answering what is asked meanwhile. Gives all messages;
    /// the answer is the last.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(&self, method: &str, params: Value) -> anyhow::Result<Vec<Value>> {
        let request = json!({"jsonrpc": "2.0", "id": "ask", "method": method, "params": params});
        let mut hearing = self.post(&request).await?;
        let mut all = Vec::new();
        while let Some(message) = hearing.next().await? {
            if message["method"].is_string() && !message["id"].is_null() {
                self.post(&reply(&message)).await?;
            }
            all.push(message);
        }
        let last = all.last().context("no answer")?;
        anyhow::ensure!(last["id"] == "ask", "no answer: {all:?}");
        Ok(all)
    }

    /// Calls a tool; all messages, of which the answer is the last.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Vec<Value>> {
        let params =
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "mine"}});
        self.ask("tools/call", params).await
    }

    /// Calls a tool; the text of its answer.
    ///
    /// # Errors
    /// There is no answer, or an error.
    pub async fn text(&self, tool: &str, arguments: Value) -> anyhow::Result<String> {
        let all = self.call(tool, arguments).await?;
        let content = all.last().map(|last| last["result"]["content"].clone());
        let content = content.filter(Value::is_array);
        let content = content.with_context(|| format!("{tool}: {all:?}"))?;
        let parts = content.as_array().into_iter().flatten();
        Ok(parts.filter_map(|part| part["text"].as_str()).collect())
    }
}

/// What a person, a model or a file system would say.
fn reply(question: &Value) -> Value {
    let result = match question["method"].as_str().unwrap_or_default() {
        "elicitation/create" => json!({"action": "accept", "content": {"name": "Ada"}}),
        "sampling/createMessage" => json!({"role": "assistant", "model": "none",
            "content": {"type": "text", "text": "sampled by hand"}}),
        "roots/list" => json!({"roots": [{"uri": "file:///by-hand", "name": "by hand"}]}),
        _ => json!({}),
    };
    json!({"jsonrpc": "2.0", "id": question["id"], "result": result})
}
