//! Whether a tool answers MCP (TOOL-4): the last step of every start.
//!
//! One `initialize` is sent, in the way that the tool speaks. A server of the modern era refuses it
//! with an error that says so, which is an answer as good as any. The clock starts when the tool
//! can be reached, and is generous: Python servers take seconds to their first word.

mod listening;
mod sse;

use std::net::SocketAddr;
use std::time::Duration;

use agentopia_mcp::{
    Envelope, Era, ErrorCode, Field, Id, Kind, Limits, Line, LineReader, ObjectWriter,
    ProtocolVersion, SseParser, jsonrpc, method,
};
use bytes::{Bytes, BytesMut};
use http::header;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::runtime::{StdioSession, ToolChannel, ToolHandle};

/// How long a tool may take to its first answer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before an HTTP server that does not listen yet is asked again, growing to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The largest answer that is read.
const MOST_BYTES: usize = 1 << 20;
/// The id of our request.
const ID: &str = "agentopia-health";

/// What a tool that answers told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The era it speaks, or speaks besides the modern one.
    pub era: Era,
    /// Its name for itself, where it told one.
    pub name: Option<String>,
    /// Its version, where it told one.
    pub version: Option<String>,
}

/// Why a tool does not count as healthy: a sentence for its owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{explanation}")]
pub struct HealthError {
    /// What is wrong and what to do.
    pub explanation: String,
}

impl HealthError {
    fn new(explanation: impl Into<String>) -> Self {
        Self {
            explanation: explanation.into(),
        }
    }
}

/// Asks a tool, for at most `patience`.
///
/// # Errors
/// It ended, did not answer in time, or what it answered is no MCP.
pub async fn probe(tool: &ToolHandle, patience: Duration) -> Result<Health, HealthError> {
    let (asked, how) = match &tool.channel {
        ToolChannel::Stdio { spawner, .. } => {
            let session = spawner
                .open()
                .await
                .map_err(|error| HealthError::new(error.message))?;
            (
                timeout(patience, ask_process(session)).await,
                "on its standard output".to_owned(),
            )
        }
        ToolChannel::Http { address, path } => (
            timeout(patience, ask_server(*address, path)).await,
            format!("on port {} at {path}", address.port()),
        ),
        ToolChannel::Sse { address, path } => (
            timeout(patience, sse::ask(tool.instance_id, *address, path)).await,
            format!("over HTTP+SSE on port {} at {path}", address.port()),
        ),
    };
    asked.unwrap_or_else(|_| {
        Err(HealthError::new(format!(
            "the tool did not answer initialize {how} within {} seconds",
            patience.as_secs()
        )))
    })
}

/// Why a tool that did not answer did not, by what it listens on inside of its network.
#[must_use]
pub fn why_silent(tool: &ToolHandle, listeners: &[SocketAddr]) -> Option<String> {
    match &tool.channel {
        ToolChannel::Stdio { .. } => None,
        ToolChannel::Http { address, .. } | ToolChannel::Sse { address, .. } => {
            listening::explain(address.port(), listeners)
        }
    }
}

fn initialize() -> Vec<u8> {
    let mut info = ObjectWriter::new();
    info.text("name", "agentopia-health")
        .text("version", env!("CARGO_PKG_VERSION"));
    let mut params = ObjectWriter::new();
    params
        .text("protocolVersion", ProtocolVersion::LATEST_SESSION.as_str())
        .raw("capabilities", ObjectWriter::new().finish())
        .raw("clientInfo", info.finish());
    jsonrpc::request(&Id::from(ID), method::INITIALIZE, Some(&params.finish()))
}

/// What an answer to our request says; `None` if it is not one.
fn judge<B: AsRef<[u8]>>(answer: &Envelope<B>) -> Option<Result<Health, HealthError>> {
    let is_ours = answer
        .id()
        .is_none_or(|id| id.as_text().as_deref() == Some(ID));
    match answer.kind() {
        Kind::Response if is_ours => {
            let info = answer.raw(Field::ResultServerInfo);
            let told = |key: &str| {
                info.as_ref()?
                    .get(key)?
                    .text()
                    .map(std::borrow::Cow::into_owned)
            };
            Some(Ok(Health {
                era: Era::Session,
                name: told("name"),
                version: told("version"),
            }))
        }
        Kind::ErrorResponse if is_ours => {
            let code = answer.error_code().unwrap_or(ErrorCode::INTERNAL_ERROR);
            if code.proves_modern() || code == ErrorCode::METHOD_NOT_FOUND {
                return Some(Ok(Health {
                    era: Era::Modern,
                    name: None,
                    version: None,
                }));
            }
            let message = answer
                .text(Field::ErrorMessage)
                .unwrap_or_default()
                .into_owned();
            Some(Err(HealthError::new(format!(
                "the tool refuses to be initialised: {message} ({code})"
            ))))
        }
        _ => None,
    }
}

async fn ask_process(session: StdioSession) -> Result<Health, HealthError> {
    let StdioSession {
        mut stdin,
        mut stdout,
        process,
    } = session;
    let mut line = initialize();
    line.push(b'\n');
    // One that has closed its input may have answered nevertheless; its output tells.
    let _ = stdin.write_all(&line).await;
    let mut reader = LineReader::new(Limits {
        max_bytes: MOST_BYTES,
        ..Limits::default()
    });
    let mut garbage = None;
    let mut chunk = BytesMut::with_capacity(4096);
    let verdict = 'read: loop {
        match stdout.read_buf(&mut chunk).await {
            Ok(1..) => {}
            _ => break None,
        }
        reader.push(chunk.split().freeze());
        while let Some(line) = reader.next_line() {
            match line {
                Line::Message(message) => {
                    if let Some(verdict) = judge(&message) {
                        break 'read Some(verdict);
                    }
                }
                Line::Batch(_) => {}
                Line::Garbage(line) => garbage = Some(line.start),
            }
        }
    };
    drop((stdin, stdout));
    if let Some(verdict) = verdict {
        // It ends while its owner is told already.
        tokio::spawn(process.close());
        return verdict;
    }
    let info = process.close().await;
    let said = garbage.map_or_else(String::new, |line| {
        format!(
            "; it wrote {:?} to its standard output, which is for MCP messages alone",
            String::from_utf8_lossy(&line)
        )
    });
    Err(HealthError::new(format!(
        "the tool ended before it answered initialize: {info}{said}"
    )))
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

async fn ask_server(address: SocketAddr, path: &str) -> Result<Health, HealthError> {
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let mut pause = FIRST_PAUSE;
    // Until it listens and answers; the caller's patience ends this, or the tool's end does.
    loop {
        if let Some(verdict) = ask_once(&client, address, path).await {
            return verdict;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// `None`: it does not listen yet, or is still coming up.
async fn ask_once(
    client: &HttpClient,
    address: SocketAddr,
    path: &str,
) -> Option<Result<Health, HealthError>> {
    let request = http::Request::post(format!("http://{address}{path}"))
        .header(header::HOST, format!("localhost:{}", address.port()))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(Full::new(Bytes::from(initialize())));
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            return Some(Err(HealthError::new(format!(
                "{path:?} can't be requested ({error}): correct the catalog entry's path"
            ))));
        }
    };
    let response = client.request(request).await.ok()?;
    let status = response.status();
    let session = response.headers().get("mcp-session-id").cloned();
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let verdict = read_answer(response.into_body(), is_stream).await;
    if let Some(session) = session {
        // The session was ours alone; a server that does not take DELETE forgets it by itself.
        let goodbye = http::Request::delete(format!("http://{address}{path}"))
            .header(header::HOST, format!("localhost:{}", address.port()))
            .header("mcp-session-id", session)
            .body(Full::default());
        if let Ok(goodbye) = goodbye {
            let client = client.clone();
            tokio::spawn(async move { client.request(goodbye).await.map(drop) });
        }
    }
    if verdict.is_some() {
        return verdict;
    }
    if status == http::StatusCode::SERVICE_UNAVAILABLE || status == http::StatusCode::BAD_GATEWAY {
        return None;
    }
    Some(Err(HealthError::new(format!(
        "the tool answered initialize on port {} at {path} with HTTP status {status} and no MCP message: check the port and path of its transport in the catalog entry",
        address.port()
    ))))
}

async fn read_answer(
    body: hyper::body::Incoming,
    is_stream: bool,
) -> Option<Result<Health, HealthError>> {
    let mut body = body;
    let mut whole = BytesMut::new();
    let mut parser = SseParser::new(MOST_BYTES);
    let mut events = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if !is_stream {
            whole.extend_from_slice(&data);
            if whole.len() > MOST_BYTES {
                return None;
            }
            continue;
        }
        parser.push(&data, &mut events).ok()?;
        for event in events.drain(..) {
            let verdict = event.message().and_then(|message| judge_text(message));
            if verdict.is_some() {
                return verdict;
            }
        }
    }
    judge_text(&whole)
}

fn judge_text(text: &[u8]) -> Option<Result<Health, HealthError>> {
    judge(&Envelope::scan(text, &Limits::default()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Option<Result<Health, HealthError>> {
        judge_text(text.as_bytes())
    }

    #[test]
    fn both_eras_count_as_answering() {
        let session = verdict(
            r#"{"jsonrpc":"2.0","id":"agentopia-health","result":{"serverInfo":{"name":"echo","version":"1.2"}}}"#,
        );
        assert_eq!(
            session,
            Some(Ok(Health {
                era: Era::Session,
                name: Some("echo".into()),
                version: Some("1.2".into())
            }))
        );
        for code in [-32022, -32601, -32020] {
            let modern = verdict(&format!(
                r#"{{"jsonrpc":"2.0","id":"agentopia-health","error":{{"code":{code},"message":"no"}}}}"#
            ));
            assert!(
                matches!(
                    modern,
                    Some(Ok(Health {
                        era: Era::Modern,
                        ..
                    }))
                ),
                "{code}"
            );
        }
    }

    #[test]
    fn a_refusal_is_told_and_other_messages_are_passed_over() {
        let refused = verdict(
            r#"{"jsonrpc":"2.0","id":"agentopia-health","error":{"code":-32603,"message":"no API key"}}"#,
        );
        assert!(
            refused
                .unwrap()
                .unwrap_err()
                .explanation
                .contains("no API key")
        );
        assert_eq!(
            verdict(r#"{"jsonrpc":"2.0","id":"other","result":{}}"#),
            None
        );
        assert_eq!(
            verdict(r#"{"jsonrpc":"2.0","method":"notifications/message"}"#),
            None
        );
        assert_eq!(verdict("<html>"), None);
    }
}
