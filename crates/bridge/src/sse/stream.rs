//! What a server says on its stream, event by event.

use std::collections::VecDeque;

use agentopia_mcp::{SseError, SseEvent, SseParser};
use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::ServerBody;

/// An event that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Where messages are to be posted to.
    Endpoint(String),
    /// A message.
    Message(Bytes),
}

/// Why a stream can't be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("{0}")]
    Events(#[from] SseError),
    #[error("its event stream broke off")]
    Broken,
}

/// Reads a stream.
#[derive(Debug)]
pub(super) struct Stream {
    body: ServerBody,
    parser: SseParser,
    waiting: VecDeque<SseEvent>,
    failed: Option<SseError>,
}

impl Stream {
    pub(super) fn new(body: ServerBody, largest: usize) -> Self {
        Self {
            body,
            parser: SseParser::new(largest),
            waiting: VecDeque::new(),
            failed: None,
        }
    }

    /// The next event that means something; `None` at the stream's end. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Said>, StreamError> {
        loop {
            while let Some(event) = self.waiting.pop_front() {
                if let Some(said) = meaning(event) {
                    return Ok(Some(said));
                }
            }
            if let Some(error) = self.failed {
                return Err(error.into());
            }
            let data = match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => {
                    tracing::debug!(%error, "an event stream broke off");
                    return Err(StreamError::Broken);
                }
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            let mut events = Vec::new();
            self.failed = self.parser.push(&data, &mut events).err();
            self.waiting.extend(events);
        }
    }
}

fn meaning(event: SseEvent) -> Option<Said> {
    if event.event.as_deref() == Some("endpoint") {
        let reference = event.data.unwrap_or_default();
        return Some(Said::Endpoint(
            String::from_utf8_lossy(&reference).trim().to_owned(),
        ));
    }
    event.message().cloned().map(Said::Message)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    fn stream_of(chunks: &'static [&'static str], largest: usize) -> Stream {
        let frames = chunks.iter().map(|chunk| {
            let data = Bytes::from_static(chunk.as_bytes());
            Ok::<_, crate::sse::BodyError>(http_body::Frame::data(data))
        });
        let body = StreamBody::new(stream::iter(frames));
        Stream::new(ServerBody::new(body), largest)
    }

    #[tokio::test]
    async fn events_come_out_of_any_chunking_and_others_are_passed_over() {
        let mut stream = stream_of(
            &[
                "event: end",
                "point\ndata: /message?s=1\n\n: hello\n\nevent: ping\ndata: x\n\nevent: message\nda",
                "ta: {\"a\":\ndata: 1}\n\ndata: {}\n\nevent: message\ndata: cut off",
            ],
            1000,
        );
        let mut said = Vec::new();
        while let Some(one) = stream.next().await.unwrap() {
            said.push(one);
        }
        assert_eq!(
            said,
            [
                Said::Endpoint("/message?s=1".to_owned()),
                Said::Message("{\"a\":\n1}".into()),
                Said::Message("{}".into()),
            ]
        );
    }

    #[tokio::test]
    async fn what_came_before_an_event_that_is_too_large_counts() {
        let mut stream = stream_of(&["data: {}\n\ndata: 0123456789012345678901234567890"], 20);
        assert_eq!(
            stream.next().await.unwrap(),
            Some(Said::Message("{}".into()))
        );
        for _ in 0..2 {
            let error = stream.next().await.unwrap_err().to_string();
            assert_eq!(error, "an event is larger than 20 bytes");
        }
    }
}
