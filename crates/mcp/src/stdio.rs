//! The stdio transport: one message a line.
//!
//! Servers print things on stdout that are no messages (banners, prints left in the code). Those
//! lines are handed out as [`Garbage`], to be logged and counted, and the stream goes on. A line
//! beyond the cap is dropped while it comes in, without being stored.

use bytes::{Buf, Bytes, BytesMut};

use crate::envelope::{Envelope, Limits, ScanError, batch_elements};

/// One line of a stdio stream.
#[derive(Debug)]
pub enum Line {
    /// A message.
    Message(Envelope<Bytes>),
    /// An array of messages (2025-03-26).
    Batch(Vec<Envelope<Bytes>>),
    /// Anything else.
    Garbage(Garbage),
}

/// A line that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// The first bytes of it, at most [`Garbage::SHOWN`], for the instance's log.
    pub start: Bytes,
    /// How long it was, a CR at its end included.
    pub length: usize,
    /// Why it is no message.
    pub reason: ScanError,
}

impl Garbage {
    /// How much of a line is kept.
    pub const SHOWN: usize = 512;
}

/// Turns chunks of a stream into lines.
///
/// ```
/// use agentopia_mcp::{Line, LineReader};
/// use bytes::Bytes;
/// let mut reader = LineReader::default();
/// reader.push(Bytes::from_static(b"Listening!\n{\"jsonrpc\":\"2.0\",\"id\":1,\"res"));
/// assert!(matches!(reader.next_line(), Some(Line::Garbage(_))));
/// assert!(reader.next_line().is_none());
/// reader.push(Bytes::from_static(b"ult\":{}}\r\n"));
/// assert!(matches!(reader.next_line(), Some(Line::Message(_))));
/// ```
#[derive(Debug, Default)]
pub struct LineReader {
    limits: Limits,
    /// What was pushed and not yet looked at.
    chunk: Bytes,
    /// The beginning of a line that a chunk ended in.
    begun: BytesMut,
    /// Length so far of a line that is too long; its start is in `begun`.
    dropping: Option<usize>,
}

impl LineReader {
    /// A reader with its own limits; a line's length counts without its end.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Hands in the next bytes. Ask [`Self::next_line`] until it has no more before pushing again;
    /// what is left is otherwise copied together.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut both = BytesMut::from(&self.chunk[..]);
            both.extend_from_slice(&chunk);
            self.chunk = both.freeze();
        }
    }

    /// The next whole line, or `None` if more bytes are needed. Empty lines are skipped. A line that
    /// came within one chunk is not copied.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.chunk) else {
                self.keep_rest();
                return None;
            };
            let rest = self.chunk.split_to(end);
            self.chunk.advance(1);
            if let Some(line) = self.complete(rest) {
                return Some(line);
            }
        }
    }

    /// The stream has ended: what stands there without a line end is a line too.
    pub fn finish(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.chunk);
        self.complete(rest)
    }

    fn keep_rest(&mut self) {
        let rest = std::mem::take(&mut self.chunk);
        let length = self.dropping.unwrap_or(self.begun.len()) + rest.len();
        // One more than the limit, as a CR at the end does not count.
        if self.dropping.is_none() && length <= self.limits.max_bytes.saturating_add(1) {
            self.begun.extend_from_slice(&rest);
            return;
        }
        self.dropping = Some(length);
        // A new buffer gives the memory of the long line back.
        let mut start = BytesMut::with_capacity(Garbage::SHOWN);
        start.extend(self.begun.iter().chain(&rest[..]).take(Garbage::SHOWN));
        self.begun = start;
    }

    /// A line has ended with `rest`: judges it, unless it is blank.
    fn complete(&mut self, rest: Bytes) -> Option<Line> {
        if let Some(length) = self.dropping.take() {
            let start = self
                .begun
                .iter()
                .chain(&rest[..])
                .copied()
                .take(Garbage::SHOWN)
                .collect();
            self.begun = BytesMut::new();
            let reason = ScanError::TooLarge {
                limit: self.limits.max_bytes,
            };
            return Some(Line::Garbage(Garbage {
                start,
                length: length + rest.len(),
                reason,
            }));
        }
        let line = if self.begun.is_empty() {
            rest
        } else {
            self.begun.extend_from_slice(&rest);
            self.begun.split().freeze()
        };
        let message = line.slice(..line.strip_suffix(b"\r").unwrap_or(&line).len());
        let reason = if message.len() > self.limits.max_bytes {
            ScanError::TooLarge {
                limit: self.limits.max_bytes,
            }
        } else if message.trim_ascii().is_empty() {
            return None;
        } else {
            match self.judge(message) {
                Ok(line) => return Some(line),
                Err(reason) => reason,
            }
        };
        let start = Bytes::copy_from_slice(&line[..line.len().min(Garbage::SHOWN)]);
        Some(Line::Garbage(Garbage {
            start,
            length: line.len(),
            reason,
        }))
    }

    fn judge(&self, line: Bytes) -> Result<Line, ScanError> {
        match Envelope::scan(line.clone(), &self.limits) {
            Ok(envelope) => Ok(Line::Message(envelope)),
            Err(ScanError::Batch) => self.batch(&line).map(Line::Batch),
            Err(reason) => Err(reason),
        }
    }

    fn batch(&self, line: &Bytes) -> Result<Vec<Envelope<Bytes>>, ScanError> {
        batch_elements(line, &self.limits)?
            .into_iter()
            .map(|span| Envelope::scan(line.slice(span), &self.limits))
            .collect()
    }
}

/// Appends a message as a line. Line ends inside of it, which in JSON are only whitespace, become
/// spaces.
pub fn write_line(out: &mut Vec<u8>, message: &[u8]) {
    out.reserve(message.len() + 1);
    let mut rest = message;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(line: Line) -> String {
        match line {
            Line::Message(m) => format!("message {}", String::from_utf8_lossy(m.bytes())),
            Line::Batch(messages) => format!("batch of {}", messages.len()),
            Line::Garbage(g) => {
                format!(
                    "garbage {} {:?} {}",
                    g.length,
                    String::from_utf8_lossy(&g.start),
                    g.reason
                )
            }
        }
    }

    fn read(limits: Limits, chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = LineReader::new(limits);
        let mut lines = Vec::new();
        for chunk in chunks {
            reader.push(Bytes::copy_from_slice(chunk));
            while let Some(line) = reader.next_line() {
                lines.push(show(line));
            }
        }
        lines.extend(reader.finish().map(show));
        lines
    }

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    #[test]
    fn garbage_is_reported_and_skipped() {
        let text = format!("hello\n\r\n{PING}\r\n{{\"a\":1}}\n[{PING},{PING}]\n  \n[]\n{PING}");
        let lines = read(Limits::default(), &[text.as_bytes()]);
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(lines[0].starts_with("garbage 5 \"hello\" the message is not JSON"));
        assert_eq!(lines[1], format!("message {PING}"));
        assert!(lines[2].contains("`jsonrpc` must be"));
        assert_eq!(lines[3], "batch of 2");
        assert!(lines[4].starts_with("garbage 2"));
        assert_eq!(lines[5], format!("message {PING}"));
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut reader = LineReader::new(Limits {
            max_bytes: 1000,
            ..Limits::default()
        });
        for _ in 0..10_000 {
            reader.push(Bytes::from_static(&[b'x'; 1000]));
            assert!(reader.next_line().is_none());
            assert!(reader.begun.capacity() <= 4096);
        }
        reader.push(Bytes::from(format!("\n{PING}\n")));
        let Some(Line::Garbage(garbage)) = reader.next_line() else {
            panic!("no garbage")
        };
        assert_eq!(garbage.length, 10_000_000);
        assert_eq!(garbage.start.len(), Garbage::SHOWN);
        assert!(matches!(reader.next_line(), Some(Line::Message(_))));
    }

    #[test]
    fn written_messages_are_one_line() {
        let mut out = Vec::new();
        write_line(
            &mut out,
            b"{\n\"jsonrpc\":\"2.0\",\r\n\"method\":\"a\\nb\"}",
        );
        assert_eq!(out, b"{ \"jsonrpc\":\"2.0\",  \"method\":\"a\\nb\"}\n");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            pieces in prop::collection::vec(
                prop::sample::select(vec![PING, "\n", "\r\n", "\r", "junk", " ", "[", "]", "{", "}"]), 0..20),
            cuts in prop::collection::vec(1usize..30, 0..40),
            max_bytes in prop::sample::select(vec![5usize, 45, 10_000])
        ) {
            let limits = Limits { max_bytes, ..Limits::default() };
            let text = pieces.concat().into_bytes();
            let mut chunks = Vec::new();
            let mut rest = &text[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                chunks.push(now);
                rest = later;
            }
            chunks.push(rest);
            prop_assert_eq!(read(limits, &chunks), read(limits, &[&text]));
        }
    }
}
