//! The timeline and its live stream (server-sent events).

use agentopia_api::event::{Event, EventQuery};
use reqwest::header::{ACCEPT, HeaderName};

use super::lines::ResponseLines;
use super::{Client, ClientError};
use crate::values::word;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl Client {
    /// Events, newest first, at most `limit`.
    pub(crate) async fn events(
        &self,
        query: &EventQuery,
        limit: usize,
    ) -> Result<Vec<Event>, ClientError> {
        let mut pairs = Vec::new();
        pairs.extend(query.object_kind.map(|kind| ("object_kind", word(&kind))));
        pairs.extend(query.object_id.map(|id| ("object_id", id.to_string())));
        self.list(&["events"], &pairs, Some(limit)).await
    }

    /// Events as they happen, from after the one with the number `after`.
    pub(crate) async fn event_stream(
        &self,
        after: Option<i64>,
    ) -> Result<EventStream, ClientError> {
        let mut request = self
            .http
            .get(self.url(&["events", "stream"]))
            .header(ACCEPT, "text/event-stream");
        if let Some(after) = after {
            request = request.header(LAST_EVENT_ID, after.to_string());
        }
        Ok(EventStream {
            lines: ResponseLines::new(&self.base, self.send(request).await?),
            message: Message::default(),
        })
    }
}

/// Reads the live stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    lines: ResponseLines,
    message: Message,
}

impl EventStream {
    /// The next event; `None` when the server ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        while let Some(line) = self.lines.next().await? {
            if let Some(data) = self.message.line(&line) {
                return self.lines.read(data.as_bytes()).map(Some);
            }
        }
        Ok(None)
    }
}

/// A server-sent event as its lines come in.
#[derive(Debug, Default)]
struct Message(Option<String>);

impl Message {
    /// Takes a line; an empty one ends the event and gives its data. Comments, ids and names are
    /// passed over: an event's number is in its data.
    fn line(&mut self, line: &[u8]) -> Option<String> {
        if line.is_empty() {
            return self.0.take();
        }
        let text = String::from_utf8_lossy(line);
        if let Some(data) = text.strip_prefix("data:") {
            let data = data.strip_prefix(' ').unwrap_or(data);
            match &mut self.0 {
                Some(all) => {
                    all.push('\n');
                    all.push_str(data);
                }
                None => self.0 = Some(data.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_what_stands_between_empty_lines() {
        let mut message = Message::default();
        let mut got = Vec::new();
        for line in [
            ": hello",
            "",
            "id: 7",
            "event: x",
            "data: {\"a\":",
            "data:1}",
            "",
            "",
        ] {
            got.extend(message.line(line.as_bytes()));
        }
        assert_eq!(got, ["{\"a\":\n1}"]);
    }
}
