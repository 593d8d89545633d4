//! Events: the same however the stream is cut, within the limit, and what we write we read.

use agentopia_mcp::sse::write_message;
use agentopia_mcp::{SseError, SseEvent, SseParser};

use crate::chunks::Cut;

/// Small, so that the fuzzer gets beyond it.
const LIMIT: usize = 256;

/// See the module's header.
pub fn sse(data: &[u8]) {
    let cut = Cut::of(data);
    let (at_once, in_chunks) = (read([cut.whole]), read(cut.chunks()));
    assert_eq!(at_once, in_chunks, "chunks make no difference");
    for event in &at_once.0 {
        let length = event.data.as_ref().map_or(0, bytes::Bytes::len);
        assert!(length <= LIMIT, "{length} bytes got through");
    }
    written(cut.whole);
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Option<SseError>) {
    let mut parser = SseParser::new(LIMIT);
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(error) = parser.push(chunk, &mut events) {
            let again = parser.push(b"data: x\n\n", &mut events);
            assert_eq!(again, Err(error), "a broken stream stays broken");
            return (events, Some(error));
        }
    }
    (events, None)
}

/// A message of one line comes out as it went in; one of several with line ends as LF.
fn written(message: &[u8]) {
    if message.is_empty() || message.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        return;
    }
    let mut stream = Vec::new();
    write_message(&mut stream, Some("7"), message);
    let mut events = Vec::new();
    SseParser::default()
        .push(&stream, &mut events)
        .expect("our own event is not too large");
    let [event] = &events[..] else {
        panic!("{} events out of one", events.len());
    };
    assert_eq!(event.message().map(|data| &data[..]), Some(message));
    assert_eq!(event.id.as_deref(), Some("7"));
}
