//! Server-Sent Events: a parser that takes bytes as they come, and a writer.
//!
//! The parser follows the WHATWG rules (CR, LF and CRLF end lines; BOM and comments are skipped),
//! with two differences for a proxy: an event without data but with an id or a retry is handed out
//! too, and an event larger than the cap is an error. The writer puts `event: message` on every
//! message (rule 20).

use bytes::Bytes;

/// Default cap on one event: as for any message.
pub const DEFAULT_MAX_EVENT: usize = 16 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// `id`, if this event had one (may be empty, which resets it).
    pub id: Option<String>,
    /// `event`; none means `message`.
    pub event: Option<String>,
    /// `data`, lines joined by LF. None: there was no such field; empty: a priming event.
    pub data: Option<Bytes>,
    /// `retry`, in milliseconds.
    pub retry: Option<u64>,
}

impl SseEvent {
    /// The JSON-RPC message in this event, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&Bytes> {
        let is_message = self
            .event
            .as_deref()
            .is_none_or(|e| e.is_empty() || e == "message");
        self.data
            .as_ref()
            .filter(|data| is_message && !data.is_empty())
    }
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event is larger than the cap.
    #[error("an event is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
}

/// Turns chunks of a stream into events.
///
/// ```
/// use agentopia_mcp::SseParser;
/// let mut parser = SseParser::default();
/// let mut events = Vec::new();
/// parser.push(b"event: message\nid: 1\nda", &mut events).unwrap();
/// assert!(events.is_empty());
/// parser.push(b"ta: {\"jsonrpc\":\"2.0\"}\n\n", &mut events).unwrap();
/// assert_eq!(events[0].message().unwrap(), &b"{\"jsonrpc\":\"2.0\"}"[..]);
/// ```
#[derive(Debug)]
pub struct SseParser {
    max: usize,
    /// The line that has begun.
    line: Vec<u8>,
    data: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    dirty: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// Nothing but a BOM may be skipped at the very start.
    started: bool,
    dead: bool,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_EVENT)
    }
}

impl SseParser {
    /// A parser that takes events of up to `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            line: Vec::new(),
            data: Vec::new(),
            event: SseEvent::default(),
            has_data: false,
            dirty: false,
            after_cr: false,
            started: false,
            dead: false,
        }
    }

    /// Takes the next bytes and appends the events that they complete. An event that the stream's
    /// end cuts off never comes out, as the rules want it.
    ///
    /// # Errors
    /// When an event is too large; the events before it were appended, and every later call fails.
    pub fn push(&mut self, mut chunk: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        while !self.dead && !chunk.is_empty() {
            if std::mem::take(&mut self.after_cr) && chunk[0] == b'\n' {
                chunk = &chunk[1..];
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + self.data.len() + part.len() > self.max {
                self.dead = true;
                break;
            }
            let Some(end) = end else {
                self.line.extend_from_slice(part);
                break;
            };
            self.after_cr = chunk[end] == b'\r';
            chunk = &chunk[end + 1..];
            if self.line.is_empty() {
                self.line(part, events);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                self.line(&line, events);
                line.clear();
                // Long lines come in many chunks: keep the buffer.
                self.line = line;
            }
        }
        if self.dead {
            Err(SseError::TooLarge { limit: self.max })
        } else {
            Ok(())
        }
    }

    fn line(&mut self, mut line: &[u8], events: &mut Vec<SseEvent>) {
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            if std::mem::take(&mut self.dirty) {
                let mut event = std::mem::take(&mut self.event);
                if std::mem::take(&mut self.has_data) {
                    event.data = Some(Bytes::from(std::mem::take(&mut self.data)));
                }
                events.push(event);
            }
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(at) => {
                let value = &line[at + 1..];
                (&line[..at], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => self.event.event = Some(text()),
            b"id" if !value.contains(&0) => self.event.id = Some(text()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.event.retry = text().parse().ok();
            }
            _ => return,
        }
        self.dirty = true;
    }
}

/// Appends a message as an event, with an id if the stream can be resumed.
pub fn write_message(out: &mut Vec<u8>, id: Option<&str>, message: &[u8]) {
    write_event(out, "message", id, message);
}

/// Appends the first event of a 2024-11-05 stream: where to post messages.
pub fn write_endpoint(out: &mut Vec<u8>, uri: &str) {
    write_event(out, "endpoint", None, uri.as_bytes());
}

/// Appends a priming event (2025-11-25): an id to resume from before anything was sent, and how
/// long to wait before reconnecting.
pub fn write_priming(out: &mut Vec<u8>, id: &str, retry_ms: Option<u64>) {
    if let Some(retry) = retry_ms {
        out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
    }
    write_event(out, "message", Some(id), b"");
}

/// Appends a comment that keeps the connection open.
pub fn write_keep_alive(out: &mut Vec<u8>) {
    out.extend_from_slice(b": keep-alive\n\n");
}

fn write_event(out: &mut Vec<u8>, event: &str, id: Option<&str>, data: &[u8]) {
    out.reserve(data.len() + 64);
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    if let Some(id) = id {
        out.extend_from_slice(b"\nid: ");
        // A line end in an id would end the field.
        out.extend(id.bytes().filter(|b| !matches!(b, b'\r' | b'\n' | 0)));
    }
    // In JSON, line ends are only whitespace between values, so CR and CRLF may become LF.
    let mut rest = data;
    loop {
        out.extend_from_slice(b"\ndata: ");
        let Some(at) = memchr::memchr2(b'\n', b'\r', rest) else {
            break;
        };
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        SseParser::default().push(text, &mut events).unwrap();
        events
    }

    fn event(id: Option<&str>, event: Option<&str>, data: Option<&'static str>) -> SseEvent {
        SseEvent {
            id: id.map(Into::into),
            event: event.map(Into::into),
            data: data.map(|d| Bytes::from_static(d.as_bytes())),
            retry: None,
        }
    }

    #[test]
    fn the_rules_by_example() {
        let text = b"\xef\xbb\xbf: hello\n\ndata\n\ndata:  two\rdata:lines\r\n\r\nid: 7\ndata: \n\nevent: endpoint\ndata: /m?s=1\n\nid: bad\0\nretry: 12x\nfoo: bar\n\ndata: cut";
        let wanted = [
            event(None, None, Some("")),
            event(None, None, Some(" two\nlines")),
            event(Some("7"), None, Some("")),
            event(None, Some("endpoint"), Some("/m?s=1")),
        ];
        assert_eq!(parse(text), wanted);
        assert_eq!(parse(b"retry: 1500\nid: 1\n\n")[0].retry, Some(1500));
        assert_eq!(parse(b"retry: 1500\nid: 1\n\n")[0].message(), None);
        for end in ["\n", "\r", "\r\n"] {
            let text = "data: a|data: b||data: c||".replace('|', end);
            let wanted = [
                event(None, None, Some("a\nb")),
                event(None, None, Some("c")),
            ];
            assert_eq!(parse(text.as_bytes()), wanted, "{end:?}");
        }
    }

    #[test]
    fn too_large_an_event_ends_the_stream() {
        let mut parser = SseParser::new(20);
        let mut events = Vec::new();
        parser.push(b"data: small\n\n", &mut events).unwrap();
        for _ in 0..3 {
            let _filling = parser.push(b"data: 123456\n", &mut events);
        }
        assert_eq!(
            parser.push(b"\n\n", &mut events),
            Err(SseError::TooLarge { limit: 20 })
        );
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn frames_carry_event_message() {
        let mut out = Vec::new();
        write_message(&mut out, Some("3"), b"{\n}");
        assert_eq!(out, b"event: message\nid: 3\ndata: {\ndata: }\n\n");
        write_keep_alive(&mut out);
        write_endpoint(&mut out, "/sse?x");
        write_priming(&mut out, "0", Some(5));
        let events = parse(&out);
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].message().unwrap(), &b"{\n}"[..]);
        assert_eq!(events[1], event(None, Some("endpoint"), Some("/sse?x")));
        assert_eq!(
            (events[2].retry, events[2].data.as_deref()),
            (Some(5), Some(&b""[..]))
        );
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            pieces in prop::collection::vec(prop::sample::select(
                vec!["data", ":", " ", "\n", "\r", "\r\n", "id", "event", "retry", "5", "x", "\u{feff}", "\n\n", "data: y\n"]
            ), 0..40),
            cuts in prop::collection::vec(1usize..5, 0..60)
        ) {
            let text = pieces.concat().into_bytes();
            let mut parser = SseParser::default();
            let mut events = Vec::new();
            let mut rest = &text[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                parser.push(now, &mut events).unwrap();
                rest = later;
            }
            parser.push(rest, &mut events).unwrap();
            prop_assert_eq!(events, parse(&text));
        }

        #[test]
        fn what_is_written_is_read(message in "[^\r\u{0}]{0,30}", id in prop::option::of("[a-z0-9]{1,8}")) {
            let mut out = Vec::new();
            write_message(&mut out, id.as_deref(), message.as_bytes());
            let events = parse(&out);
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!(&events[0].id, &id);
            prop_assert_eq!(events[0].data.as_deref(), Some(message.as_bytes()));
        }
    }
}
