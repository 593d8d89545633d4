//! Ids on both sides of a pipe, and messages as lines.

use agentopia_mcp::{Id, stdio};
use bytes::Bytes;

/// Our number in an id; servers that keep ids as text give it back as text.
pub(super) fn number_of(id: &Id) -> Option<u64> {
    id.as_u64().or_else(|| id.as_text()?.parse().ok())
}

/// The client's id, as text if the server made text of ours.
pub(super) fn in_form_of(ours: &Id, theirs: &Id) -> Id {
    if ours.as_text().is_some() && theirs.as_text().is_none() {
        Id::from(theirs.to_string().as_str())
    } else {
        theirs.clone()
    }
}

/// A message as a line.
pub(crate) fn line(mut message: Vec<u8>) -> Bytes {
    if message.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let mut out = Vec::with_capacity(message.len() + 1);
        stdio::write_line(&mut out, &message);
        return out.into();
    }
    message.push(b'\n');
    message.into()
}
