//! How a session with an HTTP+SSE server begins: its stream, and the endpoint that it names.

use std::sync::Arc;
use std::time::Duration;

use agentopia_mcp::Limits;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use url::Url;

use super::stream::{Said, Stream};
use super::{Server, ServerError, pump};
use crate::pipe::{Pipe, PipeConfig};

/// Field names and line ends around the largest message.
const FRAMING: usize = 4 << 10;

/// What a server may take.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// The largest message, and how deep it may be nested.
    pub message: Limits,
    /// How long it may take to open its stream and name its endpoint.
    pub patience: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            message: Limits::default(),
            patience: Duration::from_secs(10),
        }
    }
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The stream can't be asked for.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// The server has no such stream there.
    #[error(
        "the server answered the request for its event stream with HTTP status {0}: check that it \
         speaks HTTP+SSE, and the path of its stream"
    )]
    Status(StatusCode),
    /// What it has there is something else.
    #[error(
        "the server answered the request for its event stream with no event stream: check that it \
         speaks HTTP+SSE, and the path of its stream"
    )]
    NoStream,
    /// It opened a stream and says nothing.
    #[error("the server opened its event stream and named no endpoint within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// The stream ended, or something else came first.
    #[error("the server named no endpoint on its event stream: {0}")]
    NoEndpoint(String),
    /// It would have us send messages, and credentials, elsewhere.
    #[error(
        "the server names an endpoint that is not its own ({0}): messages are sent to the scheme, host \
         and port of its event stream only"
    )]
    Foreign(String),
    /// As many sessions are open as may be.
    #[error(
        "this server has {0} sessions open, which is the limit: close some, or try again later"
    )]
    TooMany(usize),
}

/// Opens a session. `permit` is given back when it is over.
///
/// # Errors
/// See [`OpenError`]. Nothing was carried out on the server then.
pub async fn open(
    server: Arc<dyn Server>,
    config: PipeConfig,
    limits: StreamLimits,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<Arc<Pipe>, OpenError> {
    let beginning = timeout(limits.patience, begin(&*server, &limits));
    let (stream, endpoint) = beginning
        .await
        .map_err(|_| OpenError::Silent(limits.patience))??;
    let (pipe, ends) = Pipe::new(config);
    let line = pump::Line {
        server,
        endpoint,
        instance: config.instance,
        limits: limits.message,
        patience: config.input_patience,
    };
    pump::start(line, stream, ends, permit);
    Ok(pipe)
}

async fn begin(server: &dyn Server, limits: &StreamLimits) -> Result<(Stream, Url), OpenError> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let answer = server.send(None, request).await?;
    if answer.status() != StatusCode::OK {
        return Err(OpenError::Status(answer.status()));
    }
    let kind = answer.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return Err(OpenError::NoStream);
    }
    let mut stream = Stream::new(answer.into_body(), limits.message.max_bytes + FRAMING);
    let reference = match stream.next().await {
        Ok(Some(Said::Endpoint(reference))) => reference,
        Ok(Some(Said::Message(_))) => {
            return Err(OpenError::NoEndpoint("a message came first".to_owned()));
        }
        Ok(None) => return Err(OpenError::NoEndpoint("it ended".to_owned())),
        Err(error) => return Err(OpenError::NoEndpoint(error.to_string())),
    };
    match server.endpoint(&reference) {
        Some(endpoint) => Ok((stream, endpoint)),
        None => Err(OpenError::Foreign(shown(&reference))),
    }
}

/// Of something that a server made up, what can be shown.
fn shown(reference: &str) -> String {
    let visible = reference.chars().filter(|it| !it.is_control());
    visible.take(100).collect()
}
