//! Finds the id in the first bytes of a long answer, so that the rest can stream through, or so that
//! its request can be told that the answer is too long.

use std::ops::Range;

/// Where the id stands in an answer that begins with nothing but `jsonrpc` and `id`, in either
/// order, and then has the key that carries the payload; `None` if this can't be said. Only plain
/// numbers count, such as gateway and DTMA give out.
#[must_use]
pub fn id_span(head: &[u8]) -> Option<Range<usize>> {
    let mut at = expect(head, skip(head, 0), b'{')?;
    let mut id = None;
    for _ in 0..3 {
        let (key, after) = string(head, skip(head, at))?;
        let after = skip(head, expect(head, skip(head, after), b':')?);
        match &head[key] {
            b"jsonrpc" => at = string(head, after)?.1,
            b"id" if id.is_none() => {
                at = number(head, after)?;
                id = Some(after..at);
            }
            b"result" | b"error" => return id,
            _ => return None,
        }
        at = expect(head, skip(head, at), b',')?;
    }
    None
}

fn skip(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

fn expect(text: &[u8], at: usize, wanted: u8) -> Option<usize> {
    (*text.get(at)? == wanted).then_some(at + 1)
}

/// A string without escapes: its inside, and the place after it.
fn string(text: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let start = expect(text, at, b'"')?;
    let length = text[start..]
        .iter()
        .take(32)
        .position(|b| matches!(b, b'"' | b'\\'))?;
    let end = start + length;
    Some((start..end, expect(text, end, b'"')?))
}

/// Our own ids are plain numbers. The place after it; something must follow.
fn number(text: &[u8], at: usize) -> Option<usize> {
    let length = text[at..].iter().position(|b| !b.is_ascii_digit())?;
    (1..=20).contains(&length).then_some(at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain() {
        let id = |text: &str| id_span(text.as_bytes()).map(|span| text[span].to_owned());
        assert_eq!(
            id(r#"{"jsonrpc":"2.0","id":17,"result":{"a"#).as_deref(),
            Some("17")
        );
        assert_eq!(
            id(" { \"id\" : 17 ,\n\"jsonrpc\" : \"2.0\", \"error\":").as_deref(),
            Some("17")
        );
        for not in [
            "",
            "{",
            r#"{"jsonrpc":"2.0","id":1"#,
            r#"{"jsonrpc":"2.0","id":17,"resu"#,
            r#"{"jsonrpc":"2.0","id":"17","result":"#,
            r#"{"jsonrpc":"2.0","result":{"id":5},"id":17"#,
            r#"{"id":1,"id":2,"result":"#,
            r#"{"id":1,"x":2,"result":"#,
            r#"{"\u0069d":1,"result":"#,
            r#"[{"id":1,"result":"#,
        ] {
            assert_eq!(id(not), None, "{not}");
        }
    }
}
