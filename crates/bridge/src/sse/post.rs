//! One message on its way to an HTTP+SSE server, and what its answer says.

use agentopia_mcp::{Envelope, Kind, Limits};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::{Duration, timeout};

use super::pump::Line;
use super::{ServerBody, ServerError};

/// What is read of an answer, so that its connection can be used again.
const MOST_READ: usize = 64 << 10;
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Posted {
    /// The server took it; what it has to say comes on its stream.
    Taken,
    /// It certainly did not get it, and gets no other of this session: the reason.
    Over(String),
    /// It did not take this one, or perhaps did: what the client is told.
    Failed(String),
}

/// The number that a request has on this hop; `None` for other messages.
pub(super) fn number_of(message: &[u8], limits: &Limits) -> Option<u64> {
    let limits = Limits {
        // It was within the limit before its id was exchanged.
        max_bytes: usize::MAX,
        ..*limits
    };
    let message = Envelope::scan(message, &limits).ok()?;
    (message.kind() == Kind::Request).then(|| message.id()?.as_u64())?
}

/// Sends it.
pub(super) async fn post(line: &Line, message: Bytes) -> Posted {
    let mut request = Request::new(message);
    *request.method_mut() = Method::POST;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    let all = HeaderValue::from_static("application/json, text/event-stream");
    request.headers_mut().insert(ACCEPT, all);
    let sending = line.server.send(Some(&line.endpoint), request);
    let answer = match timeout(line.patience, sending).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return failed(error),
        Err(_) => {
            return Posted::Failed(format!(
                "the server did not take the message within {} s: it hangs",
                line.patience.as_secs_f32()
            ));
        }
    };
    let status = answer.status();
    // Its words are for nobody; the connection is.
    read(answer.into_body()).await;
    match status {
        _ if status.is_success() => Posted::Taken,
        StatusCode::NOT_FOUND | StatusCode::GONE => Posted::Over(format!(
            "the server forgot the session (HTTP status {status})"
        )),
        _ => Posted::Failed(format!(
            "the server answered the message with HTTP status {status}"
        )),
    }
}

fn failed(error: ServerError) -> Posted {
    match error {
        ServerError::Unreachable(_) => Posted::Over(error.to_string()),
        ServerError::Refused(words) => Posted::Failed(words),
        ServerError::Broken(_) => Posted::Failed(format!(
            "{error}; whether the call was carried out is not known"
        )),
    }
}

async fn read(mut body: ServerBody) {
    let mut left = MOST_READ;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Where it is not read in time, the connection is closed: nothing else depends on it.
    let _ = timeout(READ_PATIENCE, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_have_a_number() {
        let number = |text: &str| number_of(text.as_bytes(), &Limits::default());
        assert_eq!(
            number(r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#),
            Some(7)
        );
        for other in [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","method":"tools/list"}"#,
            "nonsense",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
