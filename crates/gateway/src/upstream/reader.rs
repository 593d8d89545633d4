//! Reads answers: a whole JSON body, or messages out of an event stream.

use std::collections::VecDeque;
use std::time::Duration;

use agentopia_mcp::SseParser;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::UpstreamError;
use super::connector::UpstreamBody;

/// The next piece of a body; `None` at its end. Dropping the future loses nothing.
pub(crate) async fn next_chunk(
    body: &mut UpstreamBody,
    idle: Duration,
) -> Result<Option<Bytes>, UpstreamError> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame())
            .await
            .map_err(|_| UpstreamError::Timeout)?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                tracing::debug!(%error, "upstream body");
                return Err(UpstreamError::Broken);
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads a body to its end.
pub(crate) async fn read_all(
    mut body: UpstreamBody,
    max: usize,
    idle: Duration,
) -> Result<Bytes, UpstreamError> {
    let Some(first) = next_chunk(&mut body, idle).await? else {
        return Ok(Bytes::new());
    };
    let mut whole = BytesMut::new();
    let mut size = first.len();
    let mut only = Some(first);
    while let Some(chunk) = next_chunk(&mut body, idle).await? {
        if let Some(first) = only.take() {
            whole.extend_from_slice(&first);
        }
        size += chunk.len();
        if size > max {
            return Err(UpstreamError::TooLarge(max));
        }
        whole.extend_from_slice(&chunk);
    }
    match only {
        Some(first) if first.len() > max => Err(UpstreamError::TooLarge(max)),
        Some(first) => Ok(first),
        None => Ok(whole.freeze()),
    }
}

/// Messages of an event stream, one by one.
pub(crate) struct EventReader {
    body: UpstreamBody,
    parser: SseParser,
    waiting: VecDeque<Bytes>,
    last_id: Option<String>,
    retry: Option<Duration>,
    max: usize,
    idle: Duration,
}

impl EventReader {
    pub(crate) fn new(body: UpstreamBody, max: usize, idle: Duration) -> Self {
        Self {
            body,
            parser: SseParser::new(max),
            waiting: VecDeque::new(),
            last_id: None,
            retry: None,
            max,
            idle,
        }
    }

    /// The next message; `None` at the stream's end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(Some(message));
            }
            let Some(chunk) = next_chunk(&mut self.body, self.idle).await? else {
                return Ok(None);
            };
            let mut events = Vec::new();
            let parsed = self.parser.push(&chunk, &mut events);
            for event in events {
                if let Some(message) = event.message() {
                    self.waiting.push_back(message.clone());
                }
                if let Some(id) = event.id {
                    self.last_id = Some(id);
                }
                if let Some(retry) = event.retry {
                    self.retry = Some(Duration::from_millis(retry));
                }
            }
            if parsed.is_err() && self.waiting.is_empty() {
                return Err(UpstreamError::TooLarge(self.max));
            }
        }
    }

    /// The id of the last event, to go on from.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref().filter(|id| !id.is_empty())
    }

    /// After which pause the server wants to be asked again, where it said so.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// A standing stream may be silent for as long as it likes.
    pub(crate) fn without_idle_timeout(mut self) -> Self {
        self.idle = Duration::from_hours(24 * 365);
        self
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn body(chunks: &'static [&'static str]) -> UpstreamBody {
        let frames = chunks.iter().map(|c| {
            Ok::<_, super::super::connector::BodyError>(http_body::Frame::data(Bytes::from_static(
                c.as_bytes(),
            )))
        });
        UpstreamBody::new(StreamBody::new(futures::stream::iter(frames)))
    }

    #[tokio::test]
    async fn whole_bodies_have_a_limit() {
        let idle = Duration::from_secs(1);
        assert_eq!(
            read_all(body(&["ab", "", "c"]), 3, idle).await.unwrap(),
            "abc"
        );
        assert!(matches!(
            read_all(body(&["ab", "c"]), 2, idle).await,
            Err(UpstreamError::TooLarge(2))
        ));
        assert!(matches!(
            read_all(body(&["abc"]), 2, idle).await,
            Err(UpstreamError::TooLarge(2))
        ));
        let empty = UpstreamBody::new(Full::default().map_err(|never| match never {}));
        assert_eq!(read_all(empty, 1, idle).await.unwrap(), "");
    }

    #[tokio::test]
    async fn messages_come_out_of_any_chunking_and_priming_events_do_not() {
        let mut reader = EventReader::new(
            body(&[
                "id: 1\ndata:\n\nda",
                "ta: {\"a\":1}\n",
                "\ndata: {}\nid: 2\n\nrest",
            ]),
            100,
            Duration::from_secs(1),
        );
        assert_eq!(reader.next().await.unwrap().unwrap(), "{\"a\":1}");
        assert_eq!(reader.next().await.unwrap().unwrap(), "{}");
        assert_eq!(reader.next().await.unwrap(), None);
        assert_eq!(reader.last_id(), Some("2"));
    }
}
