//! Finds the id and what kind of result it is in the first bytes of a long answer, so that the rest can
//! stream through, or so that its request can be told that the answer is too long.

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

/// The `resultType` of a result, where it stands in the first bytes of its answer; `None` if it comes
/// later, or not at all.
#[must_use]
pub fn result_type(head: &[u8]) -> Option<&[u8]> {
    let result = member(head, 0, b"result")?;
    let at = member(head, result, b"resultType")?;
    string(head, at).map(|(inside, _)| &head[inside])
}

/// Where the value of a key begins, in the object that begins at `at`.
fn member(text: &[u8], at: usize, wanted: &[u8]) -> Option<usize> {
    let mut at = expect(text, skip(text, at), b'{')?;
    loop {
        let start = expect(text, skip(text, at), b'"')?;
        let end = string_end(text, start)?;
        let value = skip(text, expect(text, skip(text, end + 1), b':')?);
        if &text[start..end] == wanted {
            return Some(value);
        }
        at = expect(text, skip(text, value_end(text, value)?), b',')?;
    }
}

/// The quote that ends a string whose inside begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place after a value.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(text.get(at)?, b',' | b'}' | b']') {
            return Some(at);
        }
    }
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
    fn the_type_of_a_result_is_found_where_it_is_near() {
        let found = |text: &str| {
            result_type(text.as_bytes()).map(|it| String::from_utf8(it.to_vec()).unwrap())
        };
        for head in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"te"#,
            r#" { "result" : { "a\"}" : [ {"resultType":"x"}, "]" , 1.5e3 ] , "b":{} ,"resultType" : "complete" ,"#,
            r#"{"id":"}","result":{"n":null,"resultType":"complete"}"#,
        ] {
            assert_eq!(found(head).as_deref(), Some("complete"), "{head}");
        }
        for head in [
            r#"{"id":1,"result":{"content":[{"resultType":"complete"}"#,
            r#"{"id":1,"result":{"content":"resultType\":\"complete"#,
            r#"{"id":1,"result":{"resultType":"comp"#,
            r#"{"id":1,"result":{}}"#,
            r#"{"id":1,"result":["resultType"]}"#,
            r#"{"id":1,"error":{"resultType":"complete"}}"#,
            "",
        ] {
            assert_eq!(found(head), None, "{head}");
        }
    }

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
