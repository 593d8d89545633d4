//! Lines: the same however the stream is cut, garbage told from messages, and what we write we read.

use agentopia_mcp::stdio::write_line;
use agentopia_mcp::{Envelope, Limits, Line, LineReader};
use bytes::Bytes;

use crate::chunks::Cut;

/// Small, so that the fuzzer gets beyond it.
const LIMITS: Limits = Limits {
    max_bytes: 700,
    max_depth: 32,
};

/// See the module's header.
pub fn stdio(data: &[u8]) {
    let cut = Cut::of(data);
    let at_once = read([cut.whole]);
    assert_eq!(at_once, read(cut.chunks()), "chunks make no difference");
    for line in &at_once {
        if let Read::Message(message) = line {
            written(message);
        }
    }
}

/// A [`Line`], comparable.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Message(Vec<u8>),
    Batch(Vec<Vec<u8>>),
    Garbage(Bytes, usize),
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Read> {
    let mut reader = LineReader::new(LIMITS);
    let mut lines = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(line) = reader.next_line() {
            lines.push(plain(line));
        }
    }
    lines.extend(reader.finish().map(plain));
    lines
}

fn plain(line: Line) -> Read {
    match line {
        Line::Message(envelope) => Read::Message(whole(&envelope)),
        Line::Batch(envelopes) => Read::Batch(envelopes.iter().map(whole).collect()),
        Line::Garbage(garbage) => {
            assert!(
                garbage.start.len() <= garbage.length,
                "no more is shown than there was"
            );
            Read::Garbage(garbage.start, garbage.length)
        }
    }
}

fn whole(envelope: &Envelope<Bytes>) -> Vec<u8> {
    assert!(
        envelope.bytes().len() <= LIMITS.max_bytes,
        "too long a line got through"
    );
    envelope.bytes().to_vec()
}

fn written(message: &[u8]) {
    let mut stream = Vec::new();
    write_line(&mut stream, message);
    let end = stream.len() - 1;
    assert!(!stream[..end].contains(&b'\n'), "one line for one message");
    assert_eq!(read([&stream[..]]).len(), 1);
}
