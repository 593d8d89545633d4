//! Checks JSON text without building anything from it.
//!
//! Accepts what RFC 8259 accepts, nothing else, plus limits on size and depth. The text is checked
//! for UTF-8 once as a whole (the standard library does that at memory speed), so this file only
//! looks at ASCII. Lone surrogates in `\u` escapes pass, as they are well formed and some servers
//! send them; strings that we route on are decoded and so checked further.

use std::ops::Range;

use super::{Limits, ScanError};

pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
    max_depth: u32,
}

impl<'a> Lexer<'a> {
    /// `text` must be UTF-8.
    pub(crate) fn new(text: &'a [u8], limits: &Limits) -> Self {
        // The stack of skip_value is one bit a level.
        Self {
            text,
            at: 0,
            depth: 0,
            max_depth: limits.max_depth.min(127),
        }
    }

    /// Checks a whole text and returns where its value stands.
    pub(crate) fn check(text: &[u8], limits: &Limits) -> Result<Range<usize>, ScanError> {
        let mut lexer = Lexer::begin(text, limits)?;
        let start = lexer.at;
        lexer.skip_value()?;
        let end = lexer.at;
        lexer.end()?;
        Ok(start..end)
    }

    /// Checks size and UTF-8, and goes to the first byte of the value.
    pub(crate) fn begin(text: &'a [u8], limits: &Limits) -> Result<Self, ScanError> {
        // Spans are 32 bits wide.
        let limit = limits.max_bytes.min(u32::MAX as usize);
        if text.len() > limit {
            return Err(ScanError::TooLarge { limit });
        }
        if let Err(e) = std::str::from_utf8(text) {
            return Err(ScanError::NotUtf8 {
                at: e.valid_up_to(),
            });
        }
        let mut lexer = Self::new(text, limits);
        lexer.whitespace();
        Ok(lexer)
    }

    /// Nothing but whitespace may follow.
    pub(crate) fn end(&mut self) -> Result<(), ScanError> {
        self.whitespace();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.wrong("trailing characters"))
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn wrong(&self, what: &'static str) -> ScanError {
        ScanError::Syntax { at: self.at, what }
    }

    pub(crate) fn whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Enters an object or array; false if it is empty (then it is left again) or none.
    pub(crate) fn open(&mut self, open: u8, close: u8) -> bool {
        self.whitespace();
        if !self.eat(open) {
            return false;
        }
        self.whitespace();
        !self.eat(close)
    }

    /// Leaves an object or array.
    pub(crate) fn close(&mut self, close: u8) -> bool {
        self.eat(close)
    }

    /// After a member or element: true if another one follows.
    pub(crate) fn comma(&mut self) -> bool {
        self.whitespace();
        let more = self.eat(b',');
        self.whitespace();
        more
    }

    /// Between key and value.
    pub(crate) fn colon(&mut self) -> Result<(), ScanError> {
        self.whitespace();
        if !self.eat(b':') {
            return Err(self.wrong("expected `:`"));
        }
        self.whitespace();
        Ok(())
    }

    pub(crate) fn deeper(&mut self) -> Result<(), ScanError> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(ScanError::TooDeep {
                limit: self.max_depth,
            });
        }
        Ok(())
    }

    pub(crate) fn shallower(&mut self) {
        self.depth -= 1;
    }

    /// Goes over one value of any kind; its first byte is next.
    pub(crate) fn skip_value(&mut self) -> Result<(), ScanError> {
        let base = self.depth;
        // One bit a level, the innermost lowest: set for an object.
        let mut objects: u128 = 0;
        'value: loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    self.at += 1;
                    self.deeper()?;
                    self.whitespace();
                    if self.eat(b'}') {
                        self.shallower();
                    } else {
                        objects = objects << 1 | 1;
                        self.key()?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.deeper()?;
                    self.whitespace();
                    if self.eat(b']') {
                        self.shallower();
                    } else {
                        objects <<= 1;
                        continue 'value;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(_) => return Err(self.wrong("expected a value")),
                None => return Err(self.wrong("ends where a value should stand")),
            }
            while self.depth > base {
                let in_object = objects & 1 == 1;
                self.whitespace();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.whitespace();
                        if in_object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    Some(_) => return Err(self.wrong("expected `,` or the closing bracket")),
                    None => return Err(self.wrong("ends inside an object or array")),
                }
                self.at += 1;
                objects >>= 1;
                self.shallower();
            }
            return Ok(());
        }
    }

    fn key(&mut self) -> Result<(), ScanError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected a key"));
        }
        self.string()?;
        self.colon()
    }

    /// Goes over a string whose quote is next; true if it holds escapes.
    pub(crate) fn string(&mut self) -> Result<bool, ScanError> {
        if !self.eat(b'"') {
            return Err(self.wrong("expected a string"));
        }
        let mut escaped = false;
        loop {
            self.at = find_special(self.text, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.wrong("control character in a string")),
                None => return Err(self.wrong("ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u')
                if self
                    .text
                    .get(self.at + 2..self.at + 6)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
            {
                self.at += 6;
            }
            _ => return Err(self.wrong("bad escape in a string")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ScanError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            Err(self.wrong("expected a digit"))
        } else {
            Ok(())
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), ScanError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }
}

/// First place at or after `from` with a quote, a backslash or a control character, else the end.
/// Eight bytes a step: long strings are where most bytes of a message are.
fn find_special(text: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |w: u64| w.wrapping_sub(ONES) & !w;
    let mut at = from;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (control
            | zero_bytes(word ^ (ONES * u64::from(b'"')))
            | zero_bytes(word ^ (ONES * u64::from(b'\\'))))
            & HIGH;
        if found != 0 {
            // Borrows spoil only bytes above the first hit, and the first is what we want.
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = text.get(at..).unwrap_or_default();
    at + tail
        .iter()
        .position(|&b| b < 0x20 || b == b'"' || b == b'\\')
        .unwrap_or(tail.len())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(text: &[u8]) -> bool {
        Lexer::check(text, &Limits::default()).is_ok()
    }

    fn theirs(text: &[u8]) -> bool {
        std::str::from_utf8(text)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
    }

    #[test]
    fn corners_are_judged_as_serde_json_judges_them() {
        let corners: &[&[u8]] = &[
            b"",
            b" ",
            b"0",
            b"-0",
            b"00",
            b"01",
            b"-",
            b"1.",
            b".1",
            b"1.5e",
            b"1e+",
            b"1E-9",
            b"1e999",
            b"+1",
            b"true",
            b"tru",
            b"truee",
            b"nul",
            b"\"",
            b"\"\\\"",
            b"\"\\u12\"",
            b"\"\\u12g4\"",
            b"\"\\ud800\"",
            b"\"\\x\"",
            b"\"\n\"",
            b"\"\x00\"",
            b"\"\x7f\"",
            b"[]",
            b"[,]",
            b"[1,]",
            b"[1 2]",
            b"[1]]",
            b"{}",
            b"{,}",
            b"{\"a\"}",
            b"{\"a\":}",
            b"{\"a\":1,}",
            b"{a:1}",
            b"{\"a\":1 \"b\":2}",
            b"[}",
            b"{]",
            b"[1}",
            b"{\"a\":1]",
            b"\xff",
            b"\"\xff\"",
            b"\"\xc3\xa9\"",
            b"\xef\xbb\xbf1",
            b"1 2",
            b"// x\n1",
            b"NaN",
            b"\t\r\n [ ] \n",
            b"{\"a\" : {\"b\":[[],{}]} }",
            b"\x0b1",
            b"\"1234567\\",
            b"\"1234567",
        ];
        for text in corners {
            assert_eq!(
                ours(text),
                theirs(text),
                "{:?}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn depth_ends_where_serde_json_values_end() {
        for (depth, good) in [(127, true), (128, false), (100_000, false)] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(ours(text.as_bytes()), good, "{depth}");
            let value = serde_json::from_str::<serde_json::Value>(&text);
            assert_eq!(value.is_ok(), good, "{depth}");
        }
        let mixed = "{\"a\":[".repeat(63) + "1" + &"]}".repeat(63);
        assert!(ours(mixed.as_bytes()));
        let crossed = "{\"a\":[".repeat(63) + "1" + &"}]".repeat(63);
        assert!(!ours(crossed.as_bytes()));
    }

    #[test]
    fn size_is_capped() {
        let limits = Limits {
            max_bytes: 3,
            ..Limits::default()
        };
        assert!(Lexer::check(b"123", &limits).is_ok());
        assert_eq!(
            Lexer::check(b"1234", &limits),
            Err(ScanError::TooLarge { limit: 3 })
        );
    }

    /// Bytes that look like JSON often enough to get deep into the grammar.
    fn jsonish() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => prop::sample::select(
                &["{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"k\":", "1", "-2.5e3",
                 "true", "null", " ", "\\u00e9", "\n", "0"][..]
            ).prop_map(|s| s.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 1..4),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    pub(crate) fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn accepts_what_serde_json_accepts(text in jsonish()) {
            prop_assert_eq!(ours(&text), theirs(&text));
        }

        #[test]
        fn good_text_stays_good_and_one_changed_byte_is_judged_alike(
            value in value(), place in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut text = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert!(ours(&text));
            let place = place.index(text.len());
            text[place] = byte;
            prop_assert_eq!(ours(&text), theirs(&text));
            text.truncate(place);
            prop_assert_eq!(ours(&text), theirs(&text));
        }

        #[test]
        fn special_bytes_are_found_wherever_they_stand(text in prop::collection::vec(any::<u8>(), 0..40), from in 0usize..12) {
            let slow = (from..text.len())
                .find(|&i| text[i] < 0x20 || text[i] == b'"' || text[i] == b'\\')
                .unwrap_or(text.len().max(from));
            prop_assert_eq!(find_special(&text, from), slow);
        }
    }
}
